"""Whether a query may go to the other class because its own has no room. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Room:
    """The slots of one pool as this gateway sees them; `waking` while its first replica starts."""

    name: str
    slots: int
    in_flight: int
    queued: int
    waking: bool = False

    @property
    def is_full(self) -> bool:
        """Whether a query that comes now would wait."""
        return self.queued > 0 or self.in_flight >= self.slots


def spill_to(own: Iterable[Room], other: Iterable[Room], floor_percent: int) -> str | None:
    """Return the pool of the other class that takes the query, or None when it stays.

    | own class                 | other class                                               | answer              |
    |---------------------------|-----------------------------------------------------------|---------------------|
    | a pool has room, or wakes | any                                                       | None                |
    | all pools are full        | no pool has room above the floor                          | None                |
    | all pools are full        | pools that would keep `floor_percent` of their slots free | the idlest of these |
    """
    if any(not room.is_full or room.waking for room in own):
        return None
    open_ones = [
        room
        for room in other
        if not room.queued and _kept_free(room) >= 0 and _kept_free(room) * 100 >= floor_percent * room.slots
    ]
    return min(open_ones, key=lambda room: room.in_flight / room.slots).name if open_ones else None


def _kept_free(room: Room) -> int:
    """Return the slots that stay free with one query more; below 0 when there is no slot for it."""
    return room.slots - room.in_flight - 1
