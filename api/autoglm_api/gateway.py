"""`spec.gateway`: how many gateways there are, who may ask, over what, and what is written down of it."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from autoglm_api.keys import Auth, SecretRef
from autoglm_api.pod import PodTemplate
from autoglm_api.schema import Model


class GatewayLimits(Model):
    """Bounds of what a client may send."""

    max_body_bytes: Annotated[
        int, Field(ge=1024, le=1073741824, description="Largest request body in bytes; a larger one gets 413.")
    ] = 4194304


class Tls(Model):
    """The certificate that gateways show to clients."""

    secret_ref: Annotated[
        SecretRef,
        Field(
            description="A Secret of type kubernetes.io/tls (tls.crt, tls.key). Followed without a restart; one that "
            "cannot be used leaves the last good certificate in use."
        ),
    ]


class AccessLog(StrEnum):
    """What is written about each query."""

    OFF = "Off"
    JSON = "JSON"


class Gateway(Model):
    """The front door of the service."""

    replicas: Annotated[int, Field(ge=1, le=32, description="Number of gateway pods.")] = 2
    auth: Annotated[Auth, Field(description="Who may ask.")] = Auth()
    tls: Annotated[
        Tls | None,
        Field(description="Speak TLS, on port 443 of the Service, and nothing else. Default: plain HTTP on port 80."),
    ] = None
    access_log: Annotated[
        AccessLog,
        Field(description="Off, or JSON: one line per query on the gateway's stdout, without prompts and keys."),
    ] = AccessLog.OFF
    limits: Annotated[GatewayLimits, Field(description="Bounds of what a client may send.")] = GatewayLimits()
    template: Annotated[PodTemplate, Field(description="Settings of the gateway pods.")] = PodTemplate()
