"""Steps of a decode loop whose bounds follow load and speed; the clock is the caller's."""

from collections.abc import Callable

from autoglm_api import spec as spec_models
from autoglm_node.engine.adaptive import Adaptive, Load, Targets
from autoglm_node.engine.costs import Work
from autoglm_node.engine.decode_loop import DecodeLoop
from autoglm_node.engine.packing import Batching
from autoglm_node.engine.sequence import Sequence, TokenEvent


def adaptive_for(spec: spec_models.Batching, most: Batching) -> Adaptive | None:
    """Return what adapts the bounds that a resource sets; None where it says that they are fixed."""
    targets = Targets(spec.target_pause_milliseconds / 1e3, spec.target_first_token_milliseconds / 1e3)
    return Adaptive(most, targets) if spec.adaptive else None


class Stepper:
    """Drives a loop: chooses the bounds of each step and learns from what it took."""

    def __init__(self, loop: DecodeLoop, adaptive: Adaptive | None, clock: Callable[[], float]) -> None:
        """Without `adaptive` the loop's own bounds stay; `clock` gives monotonic seconds."""
        self.loop = loop
        self._adaptive = adaptive
        self._clock = clock

    def submit(self, sequence: Sequence) -> None:
        """Queue a sequence that arrives now; raises `TooLongError` as the loop does."""
        now = self._clock()
        self.loop.submit(sequence, now)
        if self._adaptive is not None:
            self._adaptive.arrived(len(sequence.input_ids), now)

    def step(self) -> list[TokenEvent]:
        """Do one step of the loop."""
        now = self._clock()
        if self._adaptive is None:
            return self.loop.step(now)
        load = self._load(now)
        self.loop.batching = self._adaptive.choose(load)
        packs, padded = self.loop.counts.packs, self.loop.counts.padded_tokens
        events = self.loop.step(now)
        counts = self.loop.counts
        work = Work(load.replies, load.held_tokens, counts.packs - packs, counts.padded_tokens - padded)
        if any(work):
            self._adaptive.learn(work, self._clock() - now)
        return events

    def _load(self, now: float) -> Load:
        loop = self.loop
        return Load(loop.replying, loop.cached_tokens, loop.by_bucket(), loop.oldest_wait(now))
