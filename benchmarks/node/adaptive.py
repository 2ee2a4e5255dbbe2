"""Adapting against fixed settings, on the real engine, under a load that changes.

Queries come at random; how many and how long they are changes from phase to phase. Every setting gets the same queries
at the same times; rounds alternate. What counts is what comes too late: first tokens after their target, next tokens
after a pause of more than 1.3 times theirs (one step more or less is not the setting's to choose).
"""

import random
import statistics
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from engine import ROOM, Arrivals, Clock
from load import queries, verdict

from autoglm_node.engine.adaptive import Adaptive, Targets
from autoglm_node.engine.artifact import ServedModel
from autoglm_node.engine.decode_loop import DecodeLoop
from autoglm_node.engine.packing import Batching, Bucket
from autoglm_node.engine.sequence import Sequence as Query
from autoglm_node.engine.stepping import Stepper

SLOTS: Final = 32
TARGETS: Final = Targets(pause_seconds=0.010, first_token_seconds=0.4)
PAUSE_SLACK: Final = 1.3
WORSE: Final = 1.05  # than the best fixed setting, at most
SECONDS: Final = 4.0  # of a phase
SHORT, LONG = (10, 60), (200, 440)  # tokens of prompts


class Phase(NamedTuple):
    """Arrivals, as a share of what the engine can answer of this mix, and the share of long prompts."""

    name: str
    load: float
    long: float


PHASES: Final = (
    Phase("calm", 0.2, 0.2),
    Phase("busy, short prompts", 0.85, 0.0),
    Phase("busy, long prompts", 0.85, 0.5),
    Phase("beyond the machine", 1.3, 0.2),
    Phase("calm again", 0.2, 0.2),
)


class Setting(NamedTuple):
    """Most prompt tokens of a step, most queries of a bucket, and the seconds that one is held for company."""

    tokens: int
    cap: int
    delay: float

    @property
    def batching(self) -> Batching:
        """The engine's own word for it."""
        buckets = (Bucket(127, min(32, self.cap)), Bucket(256, min(16, self.cap)), Bucket(ROOM, min(8, self.cap)))
        return Batching(buckets, self.tokens, self.delay)


FIXED: Final = (
    *(Setting(tokens, cap, 0.0) for tokens in (32, 128, 512) for cap in (8, 32)),
    Setting(512, 32, 0.010),
)
MOST: Final = Setting(512, 32, 0.010)


@dataclass
class Late:
    """First and next tokens of a phase, and how many of each came too late."""

    firsts: list[bool] = field(default_factory=list)
    nexts: list[bool] = field(default_factory=list)

    @property
    def share(self) -> float:
        """The shares of both, added."""
        return sum(statistics.mean(late) if late else 0.0 for late in (self.firsts, self.nexts))


def adaptive(model: ServedModel, rounds: int) -> None:
    """Print what came too late, by phase and setting."""
    arrivals = [_arrivals(phase, _capacity(model, phase), number) for number, phase in enumerate(PHASES)]
    names = {**{_name(setting): setting for setting in FIXED}, "adaptive": None}
    found: dict[str, list[list[float]]] = {name: [] for name in names}
    for _ in range(rounds):
        for name, setting in names.items():
            found[name].append([late.share for late in _played(model, arrivals, setting)])
    medians = {name: [statistics.median(phase) for phase in zip(*runs, strict=True)] for name, runs in found.items()}
    print("  too late (first and next tokens, added): " + "; ".join(phase.name for phase in PHASES) + "; all phases")
    for name, shares in medians.items():
        print(f"  {name}: " + "  ".join(f"{share:.1%}" for share in (*shares, sum(shares))), flush=True)
    best = min((sum(shares), name) for name, shares in medians.items() if name != "adaptive")
    ours = sum(medians["adaptive"])
    verdict(f"adaptive {ours:.1%}, best fixed setting ({best[1]}) {best[0]:.1%}", good=ours <= WORSE * best[0])
    each = [
        min(shares[phase] for name, shares in medians.items() if name != "adaptive") for phase in range(len(PHASES))
    ]
    print(f"  the best fixed setting of each phase, if one could know it: {sum(each):.1%}")


def _name(setting: Setting) -> str:
    return f"{setting.tokens} tokens, {setting.cap} queries, {1e3 * setting.delay:.0f} ms"


def _asked(phase: Phase, count: int, number: int) -> list[Query]:
    rng = random.Random(number)
    prompts = lambda: rng.randint(*(LONG if rng.random() < phase.long else SHORT))  # noqa: E731 - a source of lengths
    return queries(count, prompts, lambda: rng.randint(4, 60), first=10_000 * number)


def _capacity(model: ServedModel, phase: Phase) -> float:
    """Return how many queries of the phase's mix the engine answers in a second of its own time."""
    asked = _asked(phase, 150, 99)
    loop, clock = DecodeLoop(model, SLOTS, ROOM, MOST.batching), Clock()
    for query in asked:
        loop.submit(query)
    while not loop.idle:
        loop.step()
    return len(asked) / clock()


def _arrivals(phase: Phase, capacity: float, number: int) -> Arrivals:
    rng, rate, at, made = (
        random.Random(7 + number),
        phase.load * capacity,
        number * SECONDS,
        list[tuple[float, Query]](),
    )
    for query in _asked(phase, round(1.5 * rate * SECONDS) + 10, number):
        at += rng.expovariate(rate)
        if at > (number + 1) * SECONDS:
            break
        made.append((at, query))
    return made


def _played(model: ServedModel, phases: list[Arrivals], setting: Setting | None) -> list[Late]:
    """Return what came too late in each phase; `setting` None: the engine adapts."""
    clock, late = Clock(), [Late() for _ in phases]
    bounds = (setting or MOST).batching
    adapting = Adaptive(bounds, TARGETS) if setting is None else None
    stepper = Stepper(DecodeLoop(model, SLOTS, ROOM, bounds), adapting, clock)
    todo = [arrival for arrivals in phases for arrival in arrivals][::-1]
    phase_of = {query.id: late[number] for number, arrivals in enumerate(phases) for _, query in arrivals}
    came, last = {query.id: at for at, query in todo}, dict[int, float]()
    while todo or not stepper.loop.idle:
        if stepper.loop.idle:
            clock.wait_until(todo[-1][0])
        while todo and todo[-1][0] <= clock():
            stepper.submit(todo.pop()[1])
        if held := stepper.loop.held_seconds(clock()):
            clock.wait_until(min([clock() + held + 1e-6, *([todo[-1][0]] if todo else [])]))
        for event in stepper.step():
            now, of = clock(), phase_of[event.id]
            if event.id in last:
                of.nexts.append(now - last[event.id] > PAUSE_SLACK * TARGETS.pause_seconds)
            else:
                of.firsts.append(now - came[event.id] > TARGETS.first_token_seconds)
            last[event.id] = now
    return late
