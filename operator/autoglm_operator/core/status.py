"""The status of a resource: Ready means that a query would be answered."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from autoglm_api import names
from autoglm_api.spec import QueryClass
from autoglm_api.status import Condition, ConditionStatus, ConditionType, Reason, Status
from autoglm_operator.core.conditions import Finding, conditions, finding
from autoglm_operator.core.deployment import Deployment, Invalid
from autoglm_operator.core.keys import ChildRef
from autoglm_operator.core.memory import Memory
from autoglm_operator.core.observed import Observed
from autoglm_operator.core.pool_status import pool_status
from autoglm_operator.core.pools import PoolPlan
from autoglm_operator.core.problems import GATEWAY, Problem

_MAX_PROBLEMS = 5


@dataclass(frozen=True, slots=True)
class View:
    """What the findings are derived from."""

    deployment: Deployment
    pools: Sequence[PoolPlan]
    problems: Sequence[Problem]
    gateways_ready: int
    gateway_service: bool

    def classes_without(self) -> list[QueryClass]:
        """Return the classes whose queries nobody would answer, now or after a wake."""
        served = {plan.pool.serves for plan in self.pools if plan.reachable or self._would_wake(plan)}
        wanted = {pool.serves for pool in self.deployment.spec.pools}
        return [one for one in QueryClass if one in wanted - served]

    def _would_wake(self, plan: PoolPlan) -> bool:
        return plan.rest.answers_later and not any(one.place == plan.pool.name for one in self.problems)

    @property
    def resting(self) -> list[str]:
        """Names of the pools that sleep or wake."""
        return [plan.pool.name for plan in self.pools if plan.rest.answers_later]

    @property
    def rolling_out(self) -> list[str]:
        """Names of the pools that move to another revision."""
        return [plan.pool.name for plan in self.pools if plan.rollout.rolling_out or plan.rollout.retired]

    @property
    def incomplete(self) -> list[str]:
        """What has fewer ready replicas than wanted, as name and ready/desired."""
        wanted = self.deployment.spec.gateway.replicas
        gateway = [f"gateway {self.gateways_ready}/{wanted}"] if self.gateways_ready < wanted else []
        pools = [f"pool {one.pool.name} {one.ready}/{one.desired}" for one in self.pools if one.ready < one.desired]
        return [*pools, *gateway]


def status_of(
    deployment: Deployment,
    observed: Observed,
    pools: Sequence[PoolPlan],
    problems: Sequence[Problem],
    memory: Memory,
    now: datetime,
) -> Status:
    """Derive the whole status from evidence."""
    gateways = observed.gateways()
    door = observed.has_own(ChildRef("Service", names.gateway_name(deployment.name)))
    view = View(deployment, pools, problems, sum(pod.ready for pod in gateways), door)
    generation = deployment.identity.generation
    findings = [_ready(view), _progressing(view), _degraded(view), _gateway_ready(view), _paused(view)]
    return Status(
        observed_generation=generation,
        url=names.gateway_url(deployment.name, deployment.namespace, tls=deployment.spec.gateway.tls is not None),
        light=_summary(pools, QueryClass.SIMPLE),
        large=_summary(pools, QueryClass.COMPLEX),
        conditions=conditions(findings, deployment.status.conditions, generation, now),
        pools=[pool_status(deployment, observed, plan, problems, memory, now) for plan in pools],
    )


def unreadable_status(invalid: Invalid, now: datetime) -> Status:
    """Return the status of a resource whose spec cannot be read: what was known stays, and why nothing happens."""
    message = f"this operator cannot read the spec, so everything is left as it is: {invalid.message}"
    return _unknown(invalid, invalid.identity.generation, Reason.INVALID_SPEC, message, now)


def blind_status(resource: Deployment | Invalid, refusal: str, now: datetime) -> Status:
    """Return the status of a resource whose children the operator may not look at: yesterday's Ready is no truth."""
    message = f"the operator may not look at the children, so everything is left as it is: {refusal}"
    return _unknown(resource, resource.status.observed_generation, Reason.API_REFUSED, message, now)


def _unknown(
    resource: Deployment | Invalid, acted_on: int | None, reason: Reason, message: str, now: datetime
) -> Status:
    findings = [
        Finding(ConditionType.READY, ConditionStatus.UNKNOWN, reason, message),
        finding(ConditionType.DEGRADED, True, reason, message),
    ]
    before = resource.status.conditions or []
    written: list[Condition] = conditions(findings, before, resource.identity.generation, now)
    replaced = {one.type for one in written}
    kept = [one for one in before if one.type not in replaced]
    return resource.status.model_copy(update={"observed_generation": acted_on, "conditions": written + kept})


def _summary(pools: Iterable[PoolPlan], served: QueryClass) -> str:
    of_class = [plan for plan in pools if plan.pool.serves == served]
    return f"{sum(plan.ready for plan in of_class)}/{sum(plan.desired for plan in of_class)}"


def _gateway_conflict(view: View) -> Problem | None:
    found = (one for one in view.problems if one.place == GATEWAY and one.reason == Reason.NAME_CONFLICT)
    return next(found, None)


def _ready(view: View) -> Finding:
    kind = ConditionType.READY
    gateway = _gateway_ready(view)
    if gateway.status is not ConditionStatus.TRUE:
        return finding(kind, False, gateway.reason, gateway.message)
    missing = view.classes_without()
    if missing:
        places = [plan.pool.name for plan in view.pools if plan.pool.serves in missing]
        why = _explained(view, places, f"no ready replica serves {' or '.join(missing)}")
        return finding(kind, False, _blocking_reason(view, places, Reason.POOL_NOT_READY), why)
    if view.resting:
        return finding(kind, True, Reason.AVAILABLE, f"a gateway is ready; asleep or waking: {', '.join(view.resting)}")
    return finding(kind, True, Reason.AVAILABLE, "a gateway and at least one replica for each class are ready")


def _blocking_reason(view: View, places: list[str], otherwise: Reason) -> Reason:
    """Name a conflict of names as the reason: waiting does not help then."""
    blocked = any(one.place in places and one.reason == Reason.NAME_CONFLICT for one in view.problems)
    return Reason.NAME_CONFLICT if blocked else otherwise


def _explained(view: View, places: list[str], what: str) -> str:
    first = next((one.message for one in view.problems if one.place in places), None)
    return what if first is None else f"{what} ({first})"


def _progressing(view: View) -> Finding:
    kind = ConditionType.PROGRESSING
    if view.deployment.spec.paused:
        return finding(kind, False, Reason.PAUSED, "spec.paused is true")
    if view.rolling_out:
        return finding(kind, True, Reason.ROLLING_OUT, f"a new revision of pool {', '.join(view.rolling_out)}")
    if view.incomplete:
        started = view.gateways_ready > 0 and not view.classes_without()
        reason = Reason.SCALING if started else Reason.STARTING
        return finding(kind, True, reason, f"ready/desired: {', '.join(view.incomplete)}")
    return finding(kind, False, Reason.STABLE, "everything that is wanted is ready")


def _degraded(view: View) -> Finding:
    if not view.problems:
        return finding(ConditionType.DEGRADED, False, Reason.AS_EXPECTED, "nothing is wrong")
    message = "; ".join(one.message for one in view.problems[:_MAX_PROBLEMS])
    return finding(ConditionType.DEGRADED, True, view.problems[0].reason, message)


def _gateway_ready(view: View) -> Finding:
    kind = ConditionType.GATEWAY_READY
    blocked = _gateway_conflict(view)
    if blocked is not None:
        return finding(kind, False, Reason.NAME_CONFLICT, blocked.message)
    missing = _missing_of_gateway(view)
    if missing is not None:
        return finding(kind, False, Reason.GATEWAY_NOT_READY, _explained(view, [GATEWAY], missing))
    counts = f"{view.gateways_ready} of {view.deployment.spec.gateway.replicas} gateway replicas are ready"
    return finding(kind, True, Reason.AVAILABLE, counts)


def _missing_of_gateway(view: View) -> str | None:
    if not view.gateway_service:
        return "the gateway has no Service"
    return "no gateway replica is ready" if view.gateways_ready == 0 else None


def _paused(view: View) -> Finding:
    if view.deployment.spec.paused:
        return finding(ConditionType.PAUSED, True, Reason.PAUSED, "spec.paused is true: nothing is changed")
    return finding(ConditionType.PAUSED, False, Reason.NOT_PAUSED, "changes are carried out")
