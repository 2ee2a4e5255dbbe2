"""Train, export and evaluate models in one go.

python -m autoglm_shop.make light large --work DIR
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import torch

from autoglm_shop import artifact
from autoglm_shop.chat import SEED
from autoglm_shop.evaluate import evaluate
from autoglm_shop.train import RECIPES


def training_facts(name: str, checkpoint: Path) -> dict[str, object]:
    """Return what an evaluation tells about the training."""
    state = torch.load(checkpoint, weights_only=True)
    parameters = sum(tensor.numel() for tensor in state["model"].values())
    return {
        "seed": SEED,
        "recipe": asdict(RECIPES[name]),
        "parameters": parameters,
        "steps": state["step"],
        "seconds": round(state["seconds"]),
        "torch": torch.__version__,
    }


def main() -> None:
    """Make the named models; a finished training is not repeated."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="+", choices=sorted(RECIPES))
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--queries", type=int, default=1000)
    given = parser.parse_args()
    for name in given.names:
        common = (name, "--work", str(given.work))
        run("train", *common, "--threads", str(given.threads))
        run("export", *common)
        directory = artifact.directory_of(name)
        facts = training_facts(name, given.work / f"{name}.pt")
        artifact.add_evaluation(directory, evaluate(directory, given.queries) | {"training": facts})
        run("quantise", name, "--queries", str(given.queries))


def run(module: str, *arguments: str) -> None:
    """Run another step of the recipe in a process of its own, so that its memory is given back."""
    subprocess.run([sys.executable, "-m", f"autoglm_shop.{module}", *arguments], check=True)  # noqa: S603 - our modules


if __name__ == "__main__":
    main()
