"""What precision and backend do to the cost of a step and to memory; PyTorch takes part where it is installed."""

import importlib.util
import resource
from typing import Final

from engine import ROOM, Clock, model_of
from load import verdict

from autoglm_api.spec import Backend, Precision
from autoglm_node.engine.artifact import Runs, ServedModel

ROWS: Final = (1, 8, 32)
STEPS: Final = 40
HELD: Final = 30
SLOTS: Final = 32
_TORCH: Final = (Runs(Backend.PYTORCH), Runs(Backend.PYTORCH, Precision.BF16))


def precision(name: str, rounds: int) -> None:
    """Print the least CPU time of a decode step and of a prompt token, for every way to run the model."""
    ways = [Runs(), Runs(precision=Precision.INT8)]
    if importlib.util.find_spec("torch"):
        ways += _TORCH
    models, memory = dict[Runs, ServedModel](), dict[Runs, int]()
    for way in ways:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        models[way] = model_of(name, SLOTS, way)
        models[way].prefill(0, [[7] * HELD] * SLOTS)
        memory[way] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    for rows in ROWS:
        costs = {way: [_step(models[way], rows) for _ in range(rounds)] for way in ways}
        least = {way: [min(column) for column in zip(*seen, strict=True)] for way, seen in costs.items()}
        for way, (decode, token) in least.items():
            gain = least[ways[0]][0] / decode
            print(
                f"  {way.backend} {way.precision}, {rows} rows: step {1e6 * decode:.0f} us ({gain:.2f}x as fast), "
                f"prompt token {1e6 * token:.0f} us"
            )
        if rows == max(ROWS):
            verdict(f"INT8 step of {rows} rows: {least[ways[0]][0] / least[ways[1]][0]:.2f}x as fast", good=True)
    for way, grown in memory.items():
        print(f"  {way.backend} {way.precision}: process grew by {grown / 1024:.0f} MiB with {SLOTS} slots of {ROOM}")


def _step(model: ServedModel, rows: int) -> tuple[float, float]:
    """Return the least seconds of a decode step and of one prompt token."""
    prompts = [[7 + row] * HELD for row in range(rows)]
    clock = Clock()
    model.prefill(0, prompts)
    token = clock() / (rows * HELD)
    steps = list[float]()
    for _ in range(STEPS):
        clock = Clock()
        model.decode([7] * rows, [HELD] * rows)
        steps.append(clock())
    return min(steps), token
