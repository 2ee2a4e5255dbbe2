"""OpenAI's embeddings: bodies to queries and back. Pure.

Honoured: model, input (text, tokens, or a list of either), encoding_format, dimensions (the model's own number only).
"""

import base64
from typing import Annotated, Any, Final, Literal

import orjson
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from autoglm_node.embedding.encoder import Vectors
from autoglm_node.embedding.query import Embedded, VectorQuery
from autoglm_node.openai import parsed

MAX_TEXTS: Final = 2048
_Token = Annotated[int, Field(ge=0, lt=2**31)]
_Tokens = Annotated[tuple[_Token, ...], Field(min_length=1, fail_fast=True, strict=False)]
_Words = Annotated[str, Field(min_length=1)]


def _listed(given: Any) -> Any:
    """Return the list of texts that an input stands for: one text and the tokens of one text are lists of one."""
    if isinstance(given, list) and given and not all(isinstance(item, int) for item in given):
        return given
    return [given]


class EmbeddingRequest(BaseModel):
    """The honoured part of a body of /v1/embeddings."""

    model_config = ConfigDict(extra="ignore", strict=True)

    model: str
    input: Annotated[list[_Words | _Tokens], Field(max_length=MAX_TEXTS, fail_fast=True), BeforeValidator(_listed)]
    encoding_format: Literal["float", "base64"] | None = None
    dimensions: Annotated[int | None, Field(ge=1)] = None

    def query(self) -> VectorQuery:
        """Return what the engine is asked."""
        return VectorQuery(tuple(self.input), self.dimensions)


def parse(body: bytes) -> EmbeddingRequest:
    """Return the request of a body.

    Raises:
        RefusalError: 400, with a sentence that names the field.
    """
    return parsed(EmbeddingRequest, body)


def answer(asked: EmbeddingRequest, embedded: Embedded) -> bytes:
    """Return the body of the answer."""
    vectors = _encoded(embedded.vectors) if asked.encoding_format == "base64" else list(embedded.vectors)
    listed = [{"object": "embedding", "index": index, "embedding": vector} for index, vector in enumerate(vectors)]
    usage = {"prompt_tokens": embedded.prompt_tokens, "total_tokens": embedded.prompt_tokens}
    body = {"object": "list", "data": listed, "model": asked.model, "usage": usage}
    return orjson.dumps(body, option=orjson.OPT_SERIALIZE_NUMPY)


def _encoded(vectors: Vectors) -> list[str]:
    """Return each vector as OpenAI's clients read it: little-endian FP32 in base64."""
    return [base64.b64encode(vector.astype("<f4").tobytes()).decode() for vector in vectors]
