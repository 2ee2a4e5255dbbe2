"""The deployment under test."""

from typing import Final

import yaml

from autoglm_api import names
from autoglm_demo import ground

NAMESPACE: Final = "peaks"
NAME: Final = "peaks"
POOL: Final = "light"
WAIT_SECONDS: Final = 600


def manifest(start_seconds: int, most: int) -> str:
    """The deployment under test: example 02 with other bounds, default signals and a quick way down."""
    text = (ground.EXAMPLES / "02-flash-sale" / "manifest.yaml").read_text().replace("flash-sale", NAMESPACE)
    documents = list(yaml.safe_load_all(text))
    spec = next(one["spec"] for one in documents if one["kind"] == names.KIND)
    for pool in spec["pools"]:
        light = pool["name"] == POOL
        pool["scaling"] = {
            "minReplicas": 1,
            "maxReplicas": most if light else 1,
            "startupSeconds": start_seconds,
            "behavior": {
                "scaleDown": {
                    "stabilizationWindowSeconds": 60,
                    "policies": [{"type": "Percent", "value": 50, "periodSeconds": 15}],
                }
            },
        }
        pool["template"] = {
            **pool["template"],
            "annotations": {names.ANNOTATION_FAKE_START_SECONDS: str(start_seconds)},
        }
    # Replicas take minutes to come; clients of this scene would rather wait for them than be told to go.
    spec["queue"] = {"maxQueries": 20000, "maxWaitSeconds": {"Normal": WAIT_SECONDS}}
    # Asks for what it needs on a crowded node: with 50m it got a twentieth of what its neighbours got.
    spec["gateway"] = {"replicas": 1, "template": {"resources": {"requests": {"cpu": "500m", "memory": "256Mi"}}}}
    return yaml.safe_dump_all(documents)
