"""Turn a training checkpoint into an artefact directory, with weights rounded to FP16.

python -m autoglm_shop.export light --work DIR [--out DIR]
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Final

import torch

from autoglm_shop import artifact
from autoglm_shop.chat import SEED, trained_tokenizer
from autoglm_shop.train import RECIPES

if TYPE_CHECKING:
    import numpy as np

MAX_TOKENS: Final = {"light": 16, "large": 80}


def weights_of(checkpoint: Path) -> dict[str, np.ndarray]:
    """Return the weights of a checkpoint by their transformers names."""
    state = torch.load(checkpoint, weights_only=True)["model"]
    return {name: tensor.float().numpy() for name, tensor in state.items()}


def main() -> None:
    """Export the named model."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", choices=sorted(RECIPES))
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    out = given.out or artifact.directory_of(given.name)
    weights = weights_of(given.work / f"{given.name}.pt")
    shape = RECIPES[given.name].shape
    artifact.write(out, shape, weights, trained_tokenizer(SEED), MAX_TOKENS[given.name])
    print(f"wrote {out}")


if __name__ == "__main__":
    main()
