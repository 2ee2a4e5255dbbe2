import pytest

from autoglm_gateway.spillover import Room, spill_to

FULL = Room("large", 8, 8, 0)
IDLE = Room("light", 8, 0, 0)


@pytest.mark.parametrize(
    ("own", "other", "floor", "to"),
    [
        ([FULL], [IDLE], 20, "light"),
        ([Room("large", 8, 2, 1)], [IDLE], 20, "light"),  # some wait already
        ([Room("large", 0, 0, 0)], [IDLE], 20, "light"),  # no replica
        ([Room("large", 0, 0, 0, waking=True)], [IDLE], 20, None),
        ([Room("large", 8, 7, 0)], [IDLE], 20, None),
        ([FULL, Room("spare", 8, 7, 0)], [IDLE], 20, None),
        ([FULL], [Room("light", 8, 5, 0)], 25, "light"),
        ([FULL], [Room("light", 8, 6, 0)], 25, None),
        ([FULL], [Room("light", 8, 7, 0)], 0, "light"),
        ([FULL], [Room("light", 8, 8, 0)], 0, None),
        ([FULL], [Room("light", 0, 0, 0)], 0, None),
        ([FULL], [Room("light", 8, 0, 1)], 0, None),
        ([FULL], [IDLE], 100, None),
        ([FULL], [Room("a", 8, 2, 0), Room("b", 8, 1, 0)], 20, "b"),
        ([FULL], [], 0, None),
    ],
)
def test_who_takes_a_query_that_has_no_room(own: list[Room], other: list[Room], floor: int, to: str | None) -> None:
    assert spill_to(own, other, floor) == to
