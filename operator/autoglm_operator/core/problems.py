"""What stands in the way, from all evidence there is, most telling first."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from autoglm_api import names
from autoglm_api.status import Reason
from autoglm_operator.core.deployment import Deployment
from autoglm_operator.core.evidence import Evidence
from autoglm_operator.core.keys import ChildRef
from autoglm_operator.core.observed import Observed
from autoglm_operator.core.pods import Pod
from autoglm_operator.core.refused_pods import reason_of, replica_failure

GATEWAY = ""
"""The place of problems that are the gateway's."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong, and where."""

    place: str
    """Name of the pool, or GATEWAY."""
    reason: Reason
    message: str


def problems(
    deployment: Deployment, observed: Observed, conflicts: Iterable[ChildRef], refusals: Mapping[ChildRef, str]
) -> list[Problem]:
    """Return everything that is wrong, in the order in which a user should read it."""
    found = [*_conflicts(deployment, conflicts), *_refusals(deployment, refusals), *_failures(observed)]
    for pool in deployment.spec.pools:
        found += _pod_problems(pool.name, f"pool {pool.name}", observed.workers(pool.name))
    return found + list(_pod_problems(GATEWAY, "gateway", observed.gateways()))


def place_of(deployment: Deployment, ref: ChildRef) -> str:
    """Return the pool that a child belongs to, or GATEWAY."""
    for pool in deployment.spec.pools:
        revision = ref.name.rsplit("-", 1)[-1]
        budget = names.pool_budget_name(deployment.name, pool.name)
        scale = names.pool_scale_name(deployment.name, pool.name)
        if ref.name in (budget, scale, names.revision_name(deployment.name, pool.name, revision)):
            return pool.name
    return GATEWAY


def _conflicts(deployment: Deployment, conflicts: Iterable[ChildRef]) -> Iterator[Problem]:
    for ref in conflicts:
        message = f"{ref} exists and belongs to somebody else; it is left alone: delete or rename it"
        yield Problem(place_of(deployment, ref), Reason.NAME_CONFLICT, message)


def _refusals(deployment: Deployment, refusals: Mapping[ChildRef, str]) -> Iterator[Problem]:
    for ref, sentence in refusals.items():
        yield Problem(place_of(deployment, ref), Reason.API_REFUSED, f"{ref}: {sentence}")


def _failures(observed: Observed) -> Iterator[Problem]:
    """Report pods that the API server refuses to the Deployment's controller (quota, PodSecurity)."""
    for child in observed.owned("Deployment"):
        failed = replica_failure(child)
        if failed is not None:
            place = child.labels.get(names.LABEL_POOL, GATEWAY)
            yield Problem(place, reason_of(failed), f"pods of {child.ref}: {failed.get('message', '')}")


def _pod_problems(place: str, whose: str, pods: list[Pod]) -> Iterator[Problem]:
    """Report each reason once, with the number of pods and one pod's words."""
    troubled = [pod.evidence for pod in pods if pod.evidence is not None and not pod.ready]
    counted = Counter(evidence.reason for evidence in troubled)
    for reason, count in sorted(counted.items(), key=lambda item: (-item[1], item[0])):
        yield Problem(place, reason, f"{whose}: {count} of {len(pods)} replicas: {_words(reason, troubled)}")


def _words(reason: Reason, troubled: list[Evidence]) -> str:
    """Return the first message in the alphabet, so that the order of pods does not change the status."""
    return min(evidence.message for evidence in troubled if evidence.reason == reason)
