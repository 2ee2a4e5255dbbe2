"""Why a pod does not answer, from what Kubernetes and the node runtime say about it.

| seen in the pod | reason |
|---|---|
| PodScheduled=False, reason Unschedulable | Unschedulable |
| container waits: ErrImagePull, ImagePullBackOff, ErrImageNeverPull, InvalidImageName | ImagePullFailed |
| container waits: CreateContainerConfigError, CreateContainerError, RunContainerError | ContainerCannotStart |
| last exit: OOMKilled, or the node runtime's code for it | OutOfMemory |
| last exit: the node runtime's codes for repository or engine load | ModelLoadFailed |
| last exit: anything else while it waits in CrashLoopBackOff or is down | CrashLoop |
"""

import json
from dataclasses import dataclass
from typing import Final

from autoglm_api import names
from autoglm_api.status import Reason
from autoglm_operator.core.keys import JSON

_IMAGE_REASONS: Final = {"ErrImagePull", "ImagePullBackOff", "ErrImageNeverPull", "InvalidImageName"}
_START_REASONS: Final = {"CreateContainerConfigError", "CreateContainerError", "RunContainerError"}
_LOAD_EXITS: Final = {names.EXIT_BAD_REPOSITORY, names.EXIT_ENGINE_LOAD}
_MAX_MESSAGE: Final = 512


@dataclass(frozen=True, slots=True)
class Evidence:
    """What stands between a pod and an answer."""

    reason: Reason
    message: str


def evidence_of(pod: JSON) -> Evidence | None:
    """Return what is wrong with a pod, or None when nothing is (yet)."""
    status = pod.get("status") or {}
    return _scheduling(status) or _containers(status)


def _scheduling(status: JSON) -> Evidence | None:
    for one in status.get("conditions") or []:
        if one["type"] == "PodScheduled" and one["status"] == "False" and one.get("reason") == "Unschedulable":
            return Evidence(Reason.UNSCHEDULABLE, _short(one.get("message", "no node fits")))
    return None


def _containers(status: JSON) -> Evidence | None:
    for container in status.get("containerStatuses") or []:
        found = _waiting(container) or _exited(container)
        if found is not None:
            return found
    return None


def _waiting(container: JSON) -> Evidence | None:
    waiting = (container.get("state") or {}).get("waiting") or {}
    reason = waiting.get("reason", "")
    if reason in _IMAGE_REASONS:
        text = waiting.get("message") or f"image {container.get('image', '')} cannot be pulled"
        return Evidence(Reason.IMAGE_PULL, _short(f"{reason}: {text}"))
    if reason in _START_REASONS:
        return Evidence(Reason.CANNOT_START, _short(f"{reason}: {waiting.get('message', '')}"))
    return None


def _exited(container: JSON) -> Evidence | None:
    """Explain the last exit of a container that is down now; a container that runs again is given its chance."""
    if "running" in (container.get("state") or {}):
        return None
    ended = _last_exit(container)
    if ended is None or (ended.get("exitCode") == 0 and ended.get("reason") != "OOMKilled"):
        return _crash_loop_without_exit(container)
    return Evidence(_exit_reason(ended), _exit_message(ended, container.get("restartCount", 0)))


def _last_exit(container: JSON) -> JSON | None:
    now = (container.get("state") or {}).get("terminated")
    before = (container.get("lastState") or {}).get("terminated")
    return now or before


def _crash_loop_without_exit(container: JSON) -> Evidence | None:
    waiting = (container.get("state") or {}).get("waiting") or {}
    if waiting.get("reason") != "CrashLoopBackOff":
        return None
    return Evidence(Reason.CRASH_LOOP, _short(waiting.get("message") or "the container ends again and again"))


def _exit_reason(ended: JSON) -> Reason:
    if ended.get("reason") == "OOMKilled" or ended.get("exitCode") == names.EXIT_OUT_OF_MEMORY:
        return Reason.OUT_OF_MEMORY
    if ended.get("exitCode") in _LOAD_EXITS:
        return Reason.MODEL_LOAD
    return Reason.CRASH_LOOP


def _exit_message(ended: JSON, restarts: int) -> str:
    said = _termination_message(ended.get("message", ""))
    why = f": {said}" if said else ""
    code = f"exit code {ended.get('exitCode')}" + (" (OOMKilled)" if ended.get("reason") == "OOMKilled" else "")
    return _short(f"{code}, {restarts} restarts{why}")


def _termination_message(text: str) -> str:
    """Return the sentence in a termination message: the node runtime writes JSON, others write text."""
    try:
        said = json.loads(text)
    except ValueError:
        return text.strip()
    return str(said.get("message") or text) if isinstance(said, dict) else text.strip()


def _short(text: str) -> str:
    return text if len(text) <= _MAX_MESSAGE else text[: _MAX_MESSAGE - 1] + "…"
