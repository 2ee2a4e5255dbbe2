"""What to do about the differences between the children that should be and those that are.

Order: what goes first makes room (deletions, shrinking), then objects, then growing.

| live object | wanted | action |
|---|---|---|
| absent | yes | Apply (create) |
| ours, as applied | yes | none |
| ours, applied from another version of it, or a field of ours edited | yes | Apply |
| ours, being deleted | yes | none; its end wakes us |
| not ours | yes | none; reported as NameConflict |
| ours | no | Delete |
| not ours | no | none |
"""

import json
from collections.abc import Iterable, Iterator, Mapping

from autoglm_api import names
from autoglm_operator.core.children import DEPLOYMENT, KINDS
from autoglm_operator.core.keys import JSON, ChildRef, ref_of
from autoglm_operator.core.observed import Child, Observed
from autoglm_operator.core.outcome import Action, Apply, Delete, Scale
from autoglm_operator.core.repair.drift import drifted

CREATED = "it does not exist"
_CHANGED = "what is wanted has changed"
_MAX_PATHS = 3


def actions(
    objects: Iterable[JSON], sizes: Mapping[ChildRef, int], kept: frozenset[ChildRef], observed: Observed
) -> tuple[Action, ...]:
    """Return everything that has to be done, in order; nothing when the world is as wanted."""
    writes = list(_writes(objects, sizes, observed))
    scales = list(_scales(sizes, observed, {write.ref for write in writes if write.uid is None}))
    wanted = {ref_of(body) for body in objects} | kept
    shrinking = [scale for scale in scales if _shrinks(scale, observed)]
    growing = [scale for scale in scales if scale not in shrinking]
    return (*_deletions(wanted, observed), *shrinking, *writes, *growing)


def conflicts(objects: Iterable[JSON], observed: Observed) -> tuple[ChildRef, ...]:
    """Return the children whose names are taken by objects that are not ours."""
    refs = (ref_of(body) for body in objects)
    return tuple(ref for ref in refs if ref in observed.children and not observed.children[ref].owned)


def with_hash(body: JSON) -> JSON:
    """Return the object with the hash of itself as an annotation: it shows later whether it is still what we want."""
    digest = names.short_hash(json.dumps(body, sort_keys=True))
    metadata = body["metadata"]
    annotations = {**metadata.get("annotations", {}), names.ANNOTATION_CONFIG_HASH: digest}
    return {**body, "metadata": {**metadata, "annotations": annotations}}


def _writes(objects: Iterable[JSON], sizes: Mapping[ChildRef, int], observed: Observed) -> Iterator[Apply]:
    for body in map(with_hash, objects):
        live = observed.children.get(ref_of(body))
        if live is None:
            yield Apply(_created(body, sizes.get(ref_of(body))), CREATED, None)
        elif live.owned and not live.deleting:
            because = _difference(body, live)
            if because is not None:
                yield Apply(body, because, live.uid)


def _created(body: JSON, size: int | None) -> JSON:
    """Return what a child is created with: a sleeping pool's Deployment must not start a pod, not even for a moment.

    The size stays the scale writer's: it writes 0, too, and later applies leave the field out.
    """
    if body["kind"] != DEPLOYMENT or size != 0:
        return body
    return {**body, "spec": {**body["spec"], "replicas": 0}}


def _difference(body: JSON, live: Child) -> str | None:
    paths = drifted(body, live.body)
    if not paths:
        return None
    if any(path.endswith(names.ANNOTATION_CONFIG_HASH) for path in paths):
        return _CHANGED
    more = " and more" if len(paths) > _MAX_PATHS else ""
    return f"edited by somebody else: {', '.join(paths[:_MAX_PATHS])}{more}"


def is_repair(action: Apply) -> bool:
    """Tell whether an apply undoes somebody's edit."""
    return action.because not in (CREATED, _CHANGED)


def _scales(sizes: Mapping[ChildRef, int], observed: Observed, created: set[ChildRef]) -> Iterator[Scale]:
    for ref, size in sizes.items():
        live = observed.children.get(ref)
        if live is not None and live.owned and not live.deleting and (live.replicas != size or not live.sized):
            yield Scale(ref, size, f"{live.replicas} replicas are asked for, {size} are wanted")
        elif ref in created and (ref.kind != DEPLOYMENT or size != 1):  # the API makes a Deployment with one
            yield Scale(ref, size, f"it is new, {size} replicas are wanted")


def _shrinks(scale: Scale, observed: Observed) -> bool:
    live = observed.children.get(scale.ref)
    return live is not None and scale.replicas < live.replicas


def _deletions(wanted: set[ChildRef], observed: Observed) -> Iterator[Delete]:
    # Pods go before what they were told, so that none restarts without it.
    for kind in (DEPLOYMENT, *(kind for kind in KINDS if kind != DEPLOYMENT)):
        for live in observed.owned(kind):
            if live.ref not in wanted:
                yield Delete(live.ref, live.uid, "nothing needs it any more")
