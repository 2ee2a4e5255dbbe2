"""The last scaling decisions that changed something, as the operator keeps them and `autoglm explain` shows them."""

import json
from collections.abc import Iterable, Iterator
from typing import Annotated, Any, Final

from pydantic import Field, TypeAdapter, ValidationError

from autoglm_api.schema import Model
from autoglm_api.status import Decision

JOURNAL_LENGTH: Final = 50
"""So many decisions of one deployment are kept."""


class JournalEntry(Model):
    """One decision for one pool, and the size before it."""

    pool: Annotated[str, Field(max_length=63)]
    before: Annotated[int, Field(ge=0)]
    decision: Decision


_ENTRIES: Final = TypeAdapter(list[JournalEntry])


def journal_text(entries: Iterable[JournalEntry]) -> str:
    """Return the entries as JSON, oldest first."""
    return _ENTRIES.dump_json(list(entries), by_alias=True, exclude_none=True).decode()


def journal_of(text: str) -> tuple[JournalEntry, ...]:
    """Return the entries of a text, oldest first; what cannot be read (another version wrote it) is left out."""
    try:
        found = json.loads(text or "[]")
    except ValueError:
        return ()
    return tuple(_readable(found)) if isinstance(found, list) else ()


def _readable(found: list[Any]) -> Iterator[JournalEntry]:
    for one in found[-JOURNAL_LENGTH:]:
        try:
            yield JournalEntry.model_validate(one)
        except ValidationError:
            continue
