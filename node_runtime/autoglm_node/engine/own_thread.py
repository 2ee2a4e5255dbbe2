"""What every engine in Triton's Python backend needs: a thread of its own, which Triton's only feeds."""

import logging
import os
import queue
import threading
from collections.abc import Callable, Iterator
from typing import Final, TypeVar

IDLE_SECONDS: Final = 0.5
"""How long an idle engine sleeps before it looks whether it shall stop."""

CANCEL_CHECK_SECONDS: Final = 0.05
"""How often open queries are asked whether their client is gone; each asking is a call to Triton."""

_STOP_SECONDS: Final = 10.0
_log = logging.getLogger(__name__)

Item = TypeVar("Item")


class OwnThread:
    """Does one round of work after the other until it is stopped."""

    def __init__(self, name: str, work: Callable[[], None], tell: Callable[[str], None]) -> None:
        """`work` is one round; `tell` gives a sentence to every open query, when a round has failed."""
        self._work = work
        self._tell = tell
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Let the round under way be the last."""
        self._stopping.set()
        self._thread.join(timeout=_STOP_SECONDS)

    def _run(self) -> None:
        try:
            while not self._stopping.is_set():
                self._work()
        except Exception as error:  # noqa: BLE001 - whatever it was, see below
            # A dead thread would leave its queries hanging while Triton calls the model ready. Tell
            # the clients, then end the process: Triton fails what follows and the runtime reloads.
            _log.exception("the engine's thread failed")
            self._tell(f"the engine failed: {error}")
            os._exit(1)


def arrived(waiting: "queue.SimpleQueue[Item]", wait_seconds: float) -> Iterator[Item]:
    """Yield all that waits in a queue; for the first wait so long, if there is none."""
    try:
        yield waiting.get(block=wait_seconds > 0, timeout=wait_seconds)
        while True:
            yield waiting.get_nowait()
    except queue.Empty:
        return
