"""Labelled outcomes: questions with what a light and a large model made of them, as JSON lines, plain or gzip."""

import gzip
import zlib
from codecs import BOM_UTF8
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError

_GZIP_MAGIC: Final = b"\x1f\x8b"
Correct = Annotated[float, Field(ge=0, le=1)]


class OutcomesError(Exception):
    """The file is no list of outcomes; the message is a sentence for the user."""


class Outcome(BaseModel):
    """One question; `weak_correct` and `strong_correct` are 0 or 1, or a quality between."""

    model_config = ConfigDict(frozen=True)

    question: str
    weak_correct: Correct
    strong_correct: Correct
    id: str = ""
    domain: str = ""
    contaminated: bool = False

    @property
    def gained(self) -> bool:
        """Whether the large model was right where the light one was wrong."""
        return self.strong_correct > self.weak_correct


def read_outcomes(path: Path) -> list[Outcome]:
    """Read all rows; raises OutcomesError naming the line that is wrong."""
    try:
        content = path.read_bytes()
        unpacked = gzip.decompress(content) if content.startswith(_GZIP_MAGIC) else content
    except (OSError, EOFError, zlib.error) as error:
        raise OutcomesError(f"{path} cannot be read: {error}") from error
    return list(_rows(path, unpacked.removeprefix(BOM_UTF8)))


def _rows(path: Path, content: bytes) -> Iterator[Outcome]:
    for number, line in enumerate(content.split(b"\n"), 1):
        if not line.strip():
            continue
        try:
            yield Outcome.model_validate_json(line)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            where = ".".join(map(str, first["loc"]))
            raise OutcomesError(f"{path}, line {number}: {where} {first['msg']}".replace(":  ", ": ")) from error
