"""What the gateway's own decisions cost per query: CPU time of this process.

    python benchmarks/routing/per_query.py [--out FILE]

Score: shipped and trained weights. Lengths (only where a pool's order is ShortestRemaining): predicting and learning,
for prompts that begin alike and for new ones. Cache: whether it may answer, and the key, of a body that was parsed.
The best of many rounds, so it may run on a busy machine.
"""

import argparse
import json
import os
import time
from collections.abc import Callable, Iterator
from functools import partial
from itertools import count
from pathlib import Path
from typing import Final

import orjson

from autoglm_api import names
from autoglm_gateway.cache.key import answer_key
from autoglm_gateway.cache.policy import Ask, ask_of
from autoglm_gateway.features import Asked
from autoglm_gateway.json_body import json_of
from autoglm_gateway.queueing import predict
from autoglm_gateway.score import Scorer
from autoglm_gateway.weights import DEFAULT, Weights

SLOTS: Final = 1 << 16
_ENGLISH: Final = (
    "A customer asks how the parcel that was sent on Monday could be at the wrong address, as the label on the box "
    "shows the right one, and whether the shop would send a new one at no cost or pay the money back, because the "
    "present is for a birthday next week and the person who ordered it is away until then, so please say"
)
_CHINESE: Final = "\u8bf7\u95ee\u8fd9\u4e2a\u5305\u88f9\u4ec0\u4e48\u65f6\u5019\u5230\uff0c"
TEXTS: Final = {
    "English, 300 characters": _ENGLISH,
    "Chinese, 300 characters": _CHINESE * 25,
    "Chinese with 5 English words, 300 characters": (_CHINESE * 4 + "iPhone 15") * 5 + _CHINESE * 1,
    "English, 4,000 characters": "the parcel that was sent on Monday is at the wrong address and " * 63,
}


def microseconds(work: Callable[[], object], times: int = 300, rounds: int = 30) -> float:
    """Return the CPU time of one call in the best of many rounds."""
    best = float("inf")
    for _ in range(rounds):
        start = time.process_time()
        for _ in range(times):
            work()
        best = min(best, time.process_time() - start)
    return best / times * 1e6


def table_weights() -> Weights:
    """Return weights with a full table: the cost does not depend on the values."""
    return Weights(bias=-1, features={"work": 1, "numbers": 1}, scale=0.01, table=[1] * SLOTS)


def scoring() -> dict[str, float]:
    """Return the cost of a score."""
    scorers = {"shipped": Scorer(DEFAULT), "trained": Scorer(table_weights())}
    found = {}
    for name, text in TEXTS.items():
        asked = Asked(text, len(text))
        for kind, scorer in scorers.items():
            found[f"score, {kind}: {name}"] = microseconds(partial(scorer.score, asked), 300 if len(text) < 999 else 30)
    return found


def lengths() -> dict[str, float]:
    """Return the cost of predicting a length and learning from the answer."""
    found = {}
    for name, text in TEXTS.items():
        for kind, alike in (("prompts that begin alike", True), ("new prompts", False)):
            call = partial(predict_and_learn, predict.Predictor(), text, count(), alike=alike)
            found[f"length, {kind}: {name}"] = microseconds(call, rounds=10)
    return found


def predict_and_learn(predictor: predict.Predictor, text: str, numbers: Iterator[int], *, alike: bool) -> None:
    """Treat one query as a gateway does; the last in a round is as the first, so the model is warm in all but one."""
    number = next(numbers)
    asked = predict.Asked("shop", "a" if alike else str(number), len(text) // 4, 64, text)
    predictor.saw(asked, predictor.predict(asked), number % 97)


def caching() -> dict[str, float]:
    """Return the cost of asking whether the cache may answer, and of the key, for a body that the protocol has read."""
    found = {}
    for size in (300, 4_000, 64_000):
        text = (_ENGLISH * (size // len(_ENGLISH) + 1))[:size]
        chat = {"model": "shop", "messages": [{"role": "user", "content": text}], "temperature": 0, "max_tokens": 64}
        body = orjson.dumps(chat)
        json_of(body)
        found[f"cache, policy and key: {size:,} characters"] = microseconds(
            partial(look_up, body), 6_000_000 // size // 20
        )
    return found


def look_up(body: bytes) -> bytes | None:
    """Return the key of a body's answer."""
    ask = ask_of(body)
    if not isinstance(ask, Ask):
        raise TypeError(ask)
    where = {"tenant": "shop", "pool": "light", "model": "glm", "revision": "r1", "target": names.PATH_CHAT}
    return answer_key(ask.body, secret=b"s" * 32, stream=False, **where)


def costs() -> dict[str, float]:
    """Return all of it, in microseconds of CPU time."""
    return {name: cost for part in (scoring, lengths, caching) for name, cost in part().items()}


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    found = {name: round(cost, 1) for name, cost in costs().items()}
    for name, cost in found.items():
        print(f"{name:76} {cost:6.1f} us")
    print(f"{os.cpu_count()} cores, load average {os.getloadavg()[0]:.1f}")
    if arguments.out is not None:
        arguments.out.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
