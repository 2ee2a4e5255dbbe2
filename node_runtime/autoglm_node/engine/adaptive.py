"""How many prompt tokens the next step reads, learnt from the steps before. Pure.

Reading prompts makes running replies stand still; not reading them makes newcomers wait. So as much is read as fits in
the pause that is allowed: everything when no reply runs, and less on a machine that has become slow.
"""

from typing import Final

LEAST_TOKENS: Final = 16
_WEIGHT: Final = 0.2  # of the newest step in the learnt speed: a neighbour's burst is forgotten within some steps
_WORTH_LEARNING: Final = 16  # tokens; a step that read fewer says more about its decode run than about reading


class StepTokens:
    """Chooses the token budget of each step between `LEAST_TOKENS` and `most`."""

    def __init__(self, most: int, pause_seconds: float) -> None:
        """Start with no idea of the engine's speed: until the first prompt is read, every step gets `most`."""
        self._most = most
        self._pause = pause_seconds
        self._seconds_per_token: float | None = None

    def learn(self, prompt_tokens: int, seconds: float) -> None:
        """Take in a step that read `prompt_tokens` tokens, padding included, in `seconds` in all."""
        if prompt_tokens < _WORTH_LEARNING:
            return
        seen, before = seconds / prompt_tokens, self._seconds_per_token
        self._seconds_per_token = seen if before is None else before + _WEIGHT * (seen - before)

    def choose(self, running: int) -> int:
        """Return the budget of a step with `running` replies."""
        if not running or self._seconds_per_token is None:
            return self._most
        fitting = int(self._pause / self._seconds_per_token)
        return max(min(LEAST_TOKENS, self._most), min(self._most, fitting))
