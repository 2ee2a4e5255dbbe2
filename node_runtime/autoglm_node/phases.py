"""The life of a worker as one table: which phase follows which event. Pure."""

from enum import StrEnum
from typing import Final


class Phase(StrEnum):
    """Where the node is in its life."""

    VALIDATE = "Validate"  # spec, artifact and backend are checked
    GENERATE = "Generate"  # Triton's model repository is written
    START = "Start"  # Triton runs, the model loads
    WARM_UP = "WarmUp"  # the first real query goes through the engine
    SERVE = "Serve"
    HEAL = "Heal"  # the engine is unloaded and loaded again; where that fails, Triton is started anew
    RECYCLE = "Recycle"  # what runs is finished, then the engine is replaced because its memory is full
    DRAIN = "Drain"  # nothing new is taken, what runs is finished
    STOPPED = "Stopped"
    FAILED = "Failed"


class Event(StrEnum):
    """What happened to the node."""

    DONE = "Done"  # the phase did its work
    ERROR = "Error"  # the phase could not do its work
    TERMINATE = "Terminate"  # SIGTERM or POST /admin/drain
    ENGINE_SICK = "EngineSick"  # the canary failed twice
    MEMORY_FULL = "MemoryFull"  # the memory guard asks for a new engine process
    TRITON_EXITED = "TritonExited"


TABLE: Final[dict[tuple[Phase, Event], Phase]] = {
    (Phase.VALIDATE, Event.DONE): Phase.GENERATE,
    (Phase.VALIDATE, Event.ERROR): Phase.FAILED,
    (Phase.VALIDATE, Event.TERMINATE): Phase.STOPPED,
    (Phase.GENERATE, Event.DONE): Phase.START,
    (Phase.GENERATE, Event.ERROR): Phase.FAILED,
    (Phase.GENERATE, Event.TERMINATE): Phase.STOPPED,
    (Phase.START, Event.DONE): Phase.WARM_UP,
    (Phase.START, Event.ERROR): Phase.FAILED,
    (Phase.START, Event.TRITON_EXITED): Phase.FAILED,
    (Phase.START, Event.TERMINATE): Phase.STOPPED,
    (Phase.WARM_UP, Event.DONE): Phase.SERVE,
    (Phase.WARM_UP, Event.ERROR): Phase.FAILED,
    (Phase.WARM_UP, Event.TRITON_EXITED): Phase.FAILED,
    (Phase.WARM_UP, Event.TERMINATE): Phase.STOPPED,
    (Phase.SERVE, Event.ENGINE_SICK): Phase.HEAL,
    (Phase.SERVE, Event.TRITON_EXITED): Phase.FAILED,
    (Phase.SERVE, Event.TERMINATE): Phase.DRAIN,
    (Phase.SERVE, Event.MEMORY_FULL): Phase.RECYCLE,
    (Phase.RECYCLE, Event.DONE): Phase.SERVE,
    (Phase.RECYCLE, Event.ERROR): Phase.FAILED,
    (Phase.RECYCLE, Event.TERMINATE): Phase.DRAIN,
    (Phase.HEAL, Event.DONE): Phase.SERVE,
    (Phase.HEAL, Event.ERROR): Phase.FAILED,
    (Phase.HEAL, Event.TERMINATE): Phase.DRAIN,
    (Phase.DRAIN, Event.DONE): Phase.STOPPED,
    (Phase.DRAIN, Event.TRITON_EXITED): Phase.STOPPED,
}

ENDS: Final = frozenset({Phase.STOPPED, Phase.FAILED})


class ImpossibleTransitionError(ValueError):
    """The table knows no such step: a mistake in the runner, never in the world."""


def next_phase(phase: Phase, event: Event) -> Phase:
    """Return the phase that follows.

    Raises:
        ImpossibleTransitionError: the event cannot happen in this phase.
    """
    try:
        return TABLE[phase, event]
    except KeyError:
        raise ImpossibleTransitionError(f"{event} cannot happen in phase {phase}") from None
