"""When to leave a store alone that does not answer. Pure: time is an argument (seconds, any origin)."""

from typing import Final

_FAILURES: Final = 5
# What fails this soon after another failure has failed with it: a stall of our own event loop is no five failures.
_TOGETHER: Final = 0.1
_FIRST_PAUSE: Final = 1.0
_LONGEST_PAUSE: Final = 30.0


class Breaker:
    """Lets calls through until five in a row fail; then one probe after a pause that doubles from 1 to 30 seconds.

    | state     | a call may go                      | it succeeds | it fails            |
    |-----------|------------------------------------|-------------|---------------------|
    | closed    | yes                                | closed      | open after the 5th  |
    | open      | no, until the pause is over        | -           | -                   |
    | half-open | one; it is open again for others   | closed      | open, pause doubles |
    """

    __slots__ = ("_counted", "_failures", "_pause", "_probing", "_until")

    def __init__(self) -> None:
        self._counted = float("-inf")
        self._failures = 0
        self._pause = _FIRST_PAUSE
        self._probing = False
        self._until: float | None = None

    @property
    def closed(self) -> bool:
        """Whether every call goes through."""
        return self._until is None

    def lets(self, now: float) -> bool:
        """Tell whether a call may go now; asking takes the probe, and a probe that is never told of is lost."""
        if self._until is None:
            return True
        if now < self._until:
            return False
        self._until = now + self._pause
        self._probing = True
        return True

    def succeeded(self) -> None:
        """Note an answer in time."""
        self._failures = 0
        self._pause = _FIRST_PAUSE
        self._probing = False
        self._until = None

    def failed(self, now: float) -> None:
        """Note an error or a late answer."""
        if now - self._counted >= _TOGETHER:
            self._failures += 1
            self._counted = now
        if self._probing:
            self._pause = min(_LONGEST_PAUSE, self._pause * 2)
        elif self._until is not None or self._failures < _FAILURES:
            return  # sent before it opened, or not enough of them yet
        self._probing = False
        self._until = now + self._pause
