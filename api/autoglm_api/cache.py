"""`spec.cache`: which answers are kept, where and for how long. Also part of the gateway's configuration."""

from typing import Annotated

from pydantic import Field

from autoglm_api.schema import Model


class SecretKeyRef(Model):
    """One entry of a Secret in the same namespace."""

    name: Annotated[
        str,
        Field(
            min_length=1,
            max_length=253,
            pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$",
            description="A Secret in this namespace.",
        ),
    ]
    key: Annotated[
        str,
        Field(min_length=1, max_length=253, pattern=r"^[-._a-zA-Z0-9]+$", description="The entry of it."),
    ] = "url"


class RedisCache(Model):
    """A Redis that all gateways share."""

    url_secret_ref: Annotated[
        SecretKeyRef,
        Field(
            description="Where its URL is: redis://[USER:PASSWORD@]HOST[:PORT][/DB], or rediss:// for TLS. Followed "
            "without a restart. While it does not answer, queries go on without it."
        ),
    ]


class Cache(Model):
    """The gateway's answer cache: exact repetitions of one tenant's queries with temperature 0."""

    time_to_live_seconds: Annotated[
        int, Field(ge=1, le=604800, description="How long an answer is kept, in seconds.")
    ] = 600
    max_bytes: Annotated[
        int,
        Field(ge=65536, le=17179869184, description="Memory for answers in each gateway; the least used ones go."),
    ] = 33554432
    redis: Annotated[
        RedisCache | None, Field(description="A second level that gateways share. Default: each keeps its own answers.")
    ] = None
