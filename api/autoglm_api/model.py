"""`model` of a pool: what it serves and where the files are. Import it from `autoglm_api.spec`."""

from enum import StrEnum
from typing import Annotated, Final

from pydantic import Field

from autoglm_api.schema import Model, cel, rules

_URI_PATTERN: Final = (
    r"^(builtin://[a-z0-9]([-a-z0-9]*[a-z0-9])?|pvc://[a-z0-9]([-a-z0-9]*[a-z0-9])?(/[A-Za-z0-9._-]+)*)$"
)


class ModelKind(StrEnum):
    """What a model does with a text."""

    GENERATIVE = "Generative"
    EMBEDDING = "Embedding"


class ModelSource(Model):
    """Which model a pool serves and where its files are."""

    name: Annotated[
        str,
        Field(
            min_length=1,
            max_length=63,
            pattern=r"^[a-zA-Z0-9]([-a-zA-Z0-9._]*[a-zA-Z0-9])?$",
            description="Name of the model. A client that asks for this name gets this pool; unique among the pools.",
        ),
    ]
    kind: Annotated[
        ModelKind,
        Field(description="Generative writes text; Embedding turns a text into a vector (/v1/embeddings)."),
    ] = ModelKind.GENERATIVE
    uri: Annotated[
        str,
        Field(
            max_length=512,
            pattern=_URI_PATTERN,
            description="Where the files are: builtin://NAME (in the worker image) or pvc://CLAIM/PATH (a volume "
            "claim in this namespace, mounted read-only).",
            json_schema_extra=rules(
                cel("!self.matches('/[.]{1,2}(/|$)')", "the path in model.uri must not have '.' or '..' as a part")
            ),
        ),
    ]
