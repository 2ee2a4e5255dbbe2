"""The engine's memory as text that outlives the operator: versioned, bounded, and never trusted.

A text that is broken, foreign, of another version or from the future gives no state and a sentence; without a state
the engine starts anew, which holds every size for a full window.
"""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple

from pydantic import TypeAdapter, ValidationError

from autoglm_api.journal import JOURNAL_LENGTH, JournalEntry
from autoglm_api.status import Decision, SignalReport
from autoglm_operator.scaling.deployment import DeploymentState
from autoglm_operator.scaling.model import PoolDecision

VERSION: Final = 1
STATE_LIMIT: Final = 256 * 1024
"""Largest text of a state in bytes; a ConfigMap holds 1 MiB."""
JOURNAL_LIMIT: Final = 128 * 1024
"""Largest text of a journal in bytes, roughly: the sum of its entries."""
CLOCK_ERROR: Final = timedelta(minutes=1)
"""How far two operators' clocks may be apart."""
_SHORT: Final = 8
_MAX_SENTENCE: Final = 300

_STATE: Final = TypeAdapter(DeploymentState)


class Restored(NamedTuple):
    """What a text held."""

    state: DeploymentState | None
    problem: str
    """Why there is no state, in a sentence; empty when there is one."""


def dump(state: DeploymentState, now: datetime) -> str:
    """Return the state as text of at most STATE_LIMIT bytes; what is too much loses the oldest of its longest lists."""
    body = {"version": VERSION, "savedAt": now.isoformat(), "state": _STATE.dump_python(state, mode="json")}
    text = _compact(body)
    while len(text) > STATE_LIMIT and _halved(body):
        text = _compact(body)
    return text


def load(text: str, now: datetime) -> Restored:
    """Return the state of a text that `dump` made, or why there is none; raises nothing."""
    try:
        body = json.loads(text)
        problem = _problem(body, now)
        return Restored(None, problem) if problem else Restored(_STATE.validate_python(body["state"]), "")
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        return Restored(None, f"the saved scaling state cannot be read: {where}: {first['msg']}"[:_MAX_SENTENCE])
    except (ValueError, RecursionError) as error:
        return Restored(None, f"the saved scaling state is no JSON: {error}"[:_MAX_SENTENCE])


def noted(
    journal: tuple[JournalEntry, ...], pool: str, before: int, decision: PoolDecision
) -> tuple[JournalEntry, ...]:
    """Return the journal with a decision that changed something; the oldest make room."""
    entries = (*journal, JournalEntry(pool=pool, before=before, decision=_recorded(decision)))[-JOURNAL_LENGTH:]
    while len(entries) > 1 and sum(_size(entry) for entry in entries) > JOURNAL_LIMIT:
        entries = entries[1:]
    return entries


def _recorded(decision: PoolDecision) -> Decision:
    return Decision(
        replicas=decision.replicas,
        reason=decision.reason,
        winner=decision.winner and decision.winner[:64],
        message=decision.message[:4096],
        limited=decision.limited,
        signals=list(_reports(decision)) or None,
        time=decision.at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
    )


def _reports(decision: PoolDecision) -> Iterator[SignalReport]:
    for row in decision.proposals[:20]:
        yield SignalReport(
            signal=row.signal[:100],
            value=row.value[:40],
            target=row.target[:40],
            proposal=row.proposal,
            freshness=row.freshness[:64],
            source=row.source[:64],
        )


def _size(entry: JournalEntry) -> int:
    return len(entry.model_dump_json(by_alias=True, exclude_none=True))


def _problem(body: Any, now: datetime) -> str:
    if not isinstance(body, dict) or not {"version", "savedAt", "state"} <= body.keys():
        return "the saved scaling state is not the operator's"
    if body["version"] != VERSION:
        return f"the saved scaling state has version {body['version']!r:.40}, not {VERSION}"
    saved = datetime.fromisoformat(str(body["savedAt"]))
    if saved.tzinfo is None or saved > now + CLOCK_ERROR:
        return f"the saved scaling state is from {saved.isoformat()}, which is not in the past"
    return ""


def _compact(body: dict[str, Any]) -> str:
    return json.dumps(body, separators=(",", ":"))


def _halved(body: Any) -> bool:
    """Drop the older half of the longest list; False when no list is long."""
    longest = max(_lists(body), key=len, default=[])
    if len(longest) <= _SHORT:
        return False
    del longest[: len(longest) // 2]
    return True


def _lists(part: Any) -> Iterator[list[Any]]:
    if isinstance(part, list):
        yield part
    for inner in part.values() if isinstance(part, dict) else part if isinstance(part, list) else ():
        yield from _lists(inner)
