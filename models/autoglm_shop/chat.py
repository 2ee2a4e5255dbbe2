"""Words to tokens: the tokeniser's recipe and the chat format both models are trained on."""

from __future__ import annotations

from itertools import islice
from random import Random
from typing import TYPE_CHECKING, Final

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

from autoglm_shop.task import Kind, Split, generate

if TYPE_CHECKING:
    from collections.abc import Iterator

END: Final = "<|endoftext|>"
USER: Final = "<|user|>"
ASSISTANT: Final = "<|assistant|>"
SYSTEM: Final = "<|system|>"
SPECIAL: Final = (END, "[MASK]", "[gMASK]", "<sop>", SYSTEM, USER, ASSISTANT)
PREFIX: Final = "[gMASK]<sop>"
SEED: Final = 20_240_611
"""The seed of the recipe: of the tokeniser, the training rows and the models' start."""

VOCABULARY_SIZE: Final = 704
CORPUS_QUERIES: Final = 4000

# Digits stand alone (arithmetic is learnt per digit); a space belongs to what follows it.
_PIECES: Final = r" ?\p{N}| ?\p{L}+| ?[^\s\p{L}\p{N}]+|\s+"


def prompt_text(user: str) -> str:
    """Return one user message in the chat format, up to where the reply starts."""
    return f"{PREFIX}{USER}{user}{ASSISTANT}"


def trained_tokenizer(seed: int, queries: int = CORPUS_QUERIES) -> Tokenizer:
    """Train the byte-level BPE tokeniser on training queries; every text can be encoded."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_PIECES), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY_SIZE,
        special_tokens=list(SPECIAL),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(islice(_corpus(seed), queries), trainer)
    return tokenizer


def _corpus(seed: int) -> Iterator[str]:
    rng = Random(f"corpus/{seed}")
    while True:
        query = generate(rng.getrandbits(48), Split.TRAIN, rng.choice(tuple(Kind)))
        yield f"{query.prompt}\n{query.worked}"
