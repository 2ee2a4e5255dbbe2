"""What Kubernetes, and through it the operator, learns of a container that ended: one line of JSON."""

import json
from contextlib import suppress
from pathlib import Path
from typing import Final

from autoglm_node.failure import FatalError

_MOST_CHARACTERS: Final = 1024


def write(path: Path, failure: FatalError) -> None:
    """Say why the node gives up."""
    say(path, failure.phase, failure.reason, failure.message)


def say(path: Path, phase: str, reason: str, message: str) -> None:
    """Leave a message that is read when the container ends, however it ends."""
    told = {"phase": phase, "reason": reason, "message": message[:_MOST_CHARACTERS]}
    # Outside a container there is no such file; the log has said it already.
    with suppress(OSError):
        path.write_text(json.dumps(told) + "\n", encoding="utf-8")


def clear(path: Path) -> None:
    """Take the message back."""
    with suppress(OSError):
        path.write_text("", encoding="utf-8")
