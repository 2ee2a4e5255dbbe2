"""The ConfigMap in which the scaling engine's memory outlives the operator.

It does not carry the label by which children are watched and listed: writing it wakes nobody, and it is neither
repaired nor removed. The garbage collector removes it with its owner.
"""

from typing import NamedTuple

from autoglm_api import names
from autoglm_operator.core.keys import JSON, ObjectKey
from autoglm_operator.core.metadata import owner_reference


class Saved(NamedTuple):
    """What is kept of one deployment, as texts that the scaling engine alone understands."""

    state: str
    journal: str = ""
    """The last decisions that changed something."""


def state_config_map_for(key: ObjectKey, uid: str, saved: Saved) -> JSON:
    """Return the ConfigMap of the resource with that UID."""
    labels = {
        names.LABEL_PART_OF: names.PART_OF,
        names.LABEL_INSTANCE: names.label_value(key.name),
        names.LABEL_DEPLOYMENT: names.label_value(key.name),
    }
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": names.scaling_state_name(key.name),
            "namespace": key.namespace,
            "labels": labels,
            "ownerReferences": [owner_reference(key.name, uid)],
        },
        "data": {names.SCALING_STATE_KEY: saved.state, names.SCALING_JOURNAL_KEY: saved.journal},
    }


def belongs_to(body: JSON, uid: str) -> bool:
    """Tell whether a live ConfigMap is that resource's, and neither a stranger's nor a namesake's before it."""
    owners = body["metadata"].get("ownerReferences") or []
    return any(owner.get("controller") and owner["uid"] == uid for owner in owners)


def saved_in(body: JSON) -> Saved | None:
    """Return what a live ConfigMap holds, or None when it holds no state."""
    data = body.get("data") or {}
    state = data.get(names.SCALING_STATE_KEY)
    return None if state is None else Saved(state, data.get(names.SCALING_JOURNAL_KEY, ""))
