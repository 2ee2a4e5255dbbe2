"""The custom resource, parsed once at the edge."""

from collections.abc import Iterable
from dataclasses import dataclass

from pydantic import ValidationError

from autoglm_api import names
from autoglm_api.spec import Spec, parse_spec
from autoglm_api.status import Condition, Status
from autoglm_operator.core.keys import JSON, ObjectKey

_MAX_PROBLEMS = 3


@dataclass(frozen=True, slots=True)
class Identity:
    """Which object in the API: a name alone is not enough, it may be deleted and created anew."""

    key: ObjectKey
    uid: str
    generation: int


@dataclass(frozen=True, slots=True)
class Pauses:
    """Directions of scaling that annotations hold."""

    scale_in: bool = False
    scale_out: bool = False


@dataclass(frozen=True, slots=True)
class Deployment:
    """A valid custom resource with the status that was last written."""

    identity: Identity
    spec: Spec
    status: Status
    pauses: Pauses = Pauses()

    @property
    def name(self) -> str:
        """metadata.name."""
        return self.identity.key.name

    @property
    def namespace(self) -> str:
        """metadata.namespace."""
        return self.identity.key.namespace


@dataclass(frozen=True, slots=True)
class Invalid:
    """A stored resource that this operator cannot read; nothing of it is touched."""

    identity: Identity
    message: str
    status: Status


def parse(body: JSON) -> Deployment | Invalid:
    """Parse a live object. A spec that the models refuse becomes `Invalid` with sentences for the user."""
    metadata = body["metadata"]
    key = ObjectKey(metadata["namespace"], metadata["name"])
    identity = Identity(key, metadata["uid"], metadata.get("generation", 0))
    status = _parse_status(body.get("status") or {})
    try:
        return Deployment(identity, parse_spec(body.get("spec") or {}), status, _pauses(metadata))
    except ValidationError as error:
        return Invalid(identity, _sentences(error), status)


def _pauses(metadata: JSON) -> Pauses:
    annotations = metadata.get("annotations") or {}
    scale_in, scale_out = names.ANNOTATION_PAUSED_SCALE_IN, names.ANNOTATION_PAUSED_SCALE_OUT
    return Pauses(annotations.get(scale_in) == "true", annotations.get(scale_out) == "true")


def _parse_status(body: JSON) -> Status:
    """Read our own last words; what an older or newer version wrote and we cannot read counts as nothing."""
    try:
        return Status.model_validate(body)
    except ValidationError:
        return Status()


def _sentences(error: ValidationError) -> str:
    problems = [f"spec.{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors()]
    more = f" (and {len(problems) - _MAX_PROBLEMS} more)" if len(problems) > _MAX_PROBLEMS else ""
    return "; ".join(problems[:_MAX_PROBLEMS]) + more


def condition(conditions: Iterable[Condition] | None, kind: str) -> Condition | None:
    """Return the condition of that type, if it is there."""
    return next((one for one in conditions or () if one.type == kind), None)
