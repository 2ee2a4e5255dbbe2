"""What a client of an embedding model asks and gets, in no protocol's words. Pure."""

from dataclasses import dataclass
from typing import NamedTuple

from autoglm_node.embedding.encoder import Vectors

Text = str | tuple[int, ...]
"""A text, or its tokens."""


@dataclass(frozen=True, slots=True)
class VectorQuery:
    """At least one text; `dimensions` None: the vectors as the model makes them."""

    texts: tuple[Text, ...]
    dimensions: int | None = None


class Embedded(NamedTuple):
    """The vectors [texts, dimensions] in the order of the texts, and how many tokens were read."""

    vectors: Vectors
    prompt_tokens: int
