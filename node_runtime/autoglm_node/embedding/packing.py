"""Which of the waiting texts are read together. Pure.

The oldest is always read next, with those most like it in length, so that little is padding and nobody waits for ever.
"""

from collections.abc import Sequence
from typing import Final

from autoglm_node.engine.packing import MAX_PADDING, Batching, padding

# Nobody waits for a next token here, so a pass may be as large as keeps the processor busy.
PASS_TOKENS: Final = 4096


def next_pass(lengths: Sequence[int], batching: Batching) -> list[int]:
    """Return the places of the texts that are read now, out of their lengths in order of arrival.

    A pass has at most as many texts as the bucket of its longest allows, at most PASS_TOKENS tokens with its padding -
    one text alone may have more - and at most MAX_PADDING of padding.

    >>> next_pass([10, 300, 11, 10], Batching())
    [0, 3, 2]
    """
    taken = [0]
    for place in sorted(range(1, len(lengths)), key=lambda place: abs(lengths[place] - lengths[0])):
        together = [lengths[member] for member in (*taken, place)]
        if not _has_room(together, batching):
            break
        if padding(together) <= MAX_PADDING:
            taken.append(place)
    return taken


def _has_room(lengths: Sequence[int], batching: Batching) -> bool:
    longest = max(lengths)
    most = batching.buckets[batching.bucket_of(longest)].max_batch_size
    return len(lengths) <= most and longest * len(lengths) <= PASS_TOKENS
