"""Train one of the two models from a seed; stop and resume at will.

    python -m autoglm_shop.train light --work DIR        (or large)

Equal seeds, steps and library versions give equal models up to the order of float sums.
"""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import torch
from torch.nn import functional as f

from autoglm_shop.chat import SEED, VOCABULARY_SIZE, trained_tokenizer
from autoglm_shop.glm import Glm, tree_mask
from autoglm_shop.packing import IGNORED, Working, training_row
from autoglm_shop.shape import Shape

if TYPE_CHECKING:
    from tokenizers import Tokenizer
    from torch import Tensor


@dataclass(frozen=True, slots=True)
class Recipe:
    """How one model is made; `working` is what its replies show."""

    shape: Shape
    working: Working
    steps: int
    rows: int
    row_tokens: int = 128
    matrix_rate: float = 0.02
    other_rate: float = 4e-3
    warm_steps: int = 40
    decay_share: float = 0.4


RECIPES: Final = {
    "light": Recipe(Shape(64, 2, 4, 2, 192, VOCABULARY_SIZE), Working.NONE, steps=450, rows=24),
    "large": Recipe(Shape(192, 5, 6, 2, 448, VOCABULARY_SIZE), Working.BY_PLACES, steps=1200, rows=24),
}


@dataclass(slots=True)
class Progress:
    """What a checkpoint holds besides the weights."""

    step: int = 0
    seconds: float = 0.0


class Training:
    """A model with its two optimisers, and where it stands."""

    def __init__(self, recipe: Recipe, tokenizer: Tokenizer, checkpoint: Path) -> None:
        """Start from the seed, or from the checkpoint if there is one."""
        torch.manual_seed(SEED)
        self.recipe, self.tokenizer, self.checkpoint = recipe, tokenizer, checkpoint
        self.model = Glm(recipe.shape)
        matrices = [p for p in self.model.model.layers.parameters() if p.dim() == 2]
        known = {id(p) for p in matrices}
        others = [p for p in self.model.parameters() if id(p) not in known]
        self.optimisers = (
            torch.optim.Muon(matrices, lr=recipe.matrix_rate, weight_decay=0.02),
            torch.optim.AdamW(others, lr=recipe.other_rate, betas=(0.9, 0.98), weight_decay=0.0),
        )
        self.progress = Progress()
        if checkpoint.exists():
            self._load()

    def run(self, steps: int) -> None:
        """Train to the end of the recipe, saving now and then."""
        while self.progress.step < steps:
            started = time.monotonic()
            loss = self._step()
            self.progress.step += 1
            self.progress.seconds += time.monotonic() - started
            if self.progress.step % 25 == 0:
                print(f"step {self.progress.step} loss {loss:.4f} {self.progress.seconds:.0f} s")
                sys.stdout.flush()
            if self.progress.step % 100 == 0 or self.progress.step == steps:
                self._save()

    def _step(self) -> float:
        scale = rate_scale(self.progress.step, self.recipe)
        for optimiser, rate in zip(self.optimisers, (self.recipe.matrix_rate, self.recipe.other_rate), strict=True):
            optimiser.zero_grad()
            for group in optimiser.param_groups:
                group["lr"] = rate * scale
        with torch.autocast("cpu", dtype=torch.bfloat16):
            loss = self._loss()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        for optimiser in self.optimisers:
            optimiser.step()
        return float(loss.item())

    def _loss(self) -> Tensor:
        tokens, targets, positions, branches = self._batch()
        hidden = self.model.hidden(tokens, positions, tree_mask(branches))
        learnt = targets != IGNORED
        return f.cross_entropy(self.model.logits(hidden[learnt]).float(), targets[learnt])

    def _batch(self) -> list[Tensor]:
        recipe = self.recipe
        rows = [
            training_row(
                f"{SEED}/{self.progress.step}/{number}",
                self.tokenizer,
                recipe.row_tokens,
                recipe.working,
            )
            for number in range(recipe.rows)
        ]
        fields = ("tokens", "targets", "positions", "branches")
        return [torch.tensor([getattr(row, field) for row in rows]) for field in fields]

    def _save(self) -> None:
        state = {
            "model": self.model.state_dict(),
            "optimisers": [optimiser.state_dict() for optimiser in self.optimisers],
            "step": self.progress.step,
            "seconds": self.progress.seconds,
        }
        partial = self.checkpoint.with_suffix(".partial")
        torch.save(state, partial)
        partial.replace(self.checkpoint)

    def _load(self) -> None:
        state = torch.load(self.checkpoint, weights_only=True)
        self.model.load_state_dict(state["model"])
        for optimiser, saved in zip(self.optimisers, state["optimisers"], strict=True):
            optimiser.load_state_dict(saved)
        self.progress = Progress(state["step"], state["seconds"])


def rate_scale(step: int, recipe: Recipe) -> float:
    """Return the learning-rate factor: a short rise, a plateau, a straight fall to zero."""
    rise = (step + 1) / recipe.warm_steps
    fall = (recipe.steps - step) / (recipe.steps * recipe.decay_share)
    return min(1.0, rise, fall)


def main() -> None:
    """Train the named model; the work folder holds the checkpoint."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", choices=sorted(RECIPES))
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    arguments.work.mkdir(parents=True, exist_ok=True)
    recipe = RECIPES[arguments.name]
    checkpoint = arguments.work / f"{arguments.name}.pt"
    Training(recipe, trained_tokenizer(SEED), checkpoint).run(recipe.steps)


if __name__ == "__main__":
    main()
