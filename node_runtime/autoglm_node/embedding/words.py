"""Texts to tokens: the tokeniser's side of an embedding model's artefact."""

from pathlib import Path
from typing import Final, Self

from pydantic import BaseModel, ConfigDict, Field
from tokenizers import Tokenizer

from autoglm_node.chat import TOKENIZER_FILE

ENCODER_FILE: Final = "encoder.json"


class VectorFormat(BaseModel):
    """encoder.json: the length of the vectors, and whether each has length 1 as a vector."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    dimensions: int = Field(gt=0)
    unit_length: bool = True


def vector_format(artifact: Path) -> VectorFormat:
    """Return what encoder.json of an artefact's directory says; pydantic's ValidationError is a ValueError."""
    return VectorFormat.model_validate_json((artifact / ENCODER_FILE).read_bytes())


class Words:
    """The tokeniser of one embedding model."""

    def __init__(self, tokenizer_json: str, told: VectorFormat) -> None:
        """Take the text of tokenizer.json and the format of the same artefact."""
        self.format = told
        self._tokenizer = Tokenizer.from_str(tokenizer_json)
        # The file may ask to cut texts and to fill them up: a text that is too long is refused, and filling is ours.
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        # What users write is text and nothing else: "[SEP]" in a text does not end it.
        self._tokenizer.encode_special_tokens = True

    @classmethod
    def load(cls, artifact: Path) -> Self:
        """Read encoder.json and tokenizer.json of an artefact's directory."""
        return cls((artifact / TOKENIZER_FILE).read_text(encoding="utf-8"), vector_format(artifact))

    @property
    def vocabulary(self) -> int:
        """How many tokens there are; their numbers begin at 0."""
        return int(self._tokenizer.get_vocab_size())

    def ids(self, text: str) -> tuple[int, ...]:
        """Return the tokens of a text, with those that this model wants around it."""
        return tuple(self._tokenizer.encode(text).ids)
