"""`autoglm explain` as a person runs it, against a real API server."""

import json
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from autoglm_api import names
from autoglm_api.journal import journal_text
from autoglm_api.status import Reason
from autoglm_operator.scaling.model import PoolDecision, Proposal
from autoglm_operator.scaling.persistence import noted
from support.manifests import two_pools
from support.operators import World

pytestmark = pytest.mark.cluster

NOW = datetime(2026, 11, 11, 20, tzinfo=UTC)
ROWS = (
    Proposal("TokenDemand", "900", "250", 4, "Fresh", "Prometheus"),
    Proposal("Concurrency", "", "6", None, "Held: Missing"),
)
GROWN = PoolDecision(4, Reason.SCALE_UP_LIMIT, "TokenDemand", "1 -> 4", True, Reason.SCALE_UP_LIMIT, NOW, ROWS)


def explain(kubeconfig: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from autoglm_cli.main import app; app()", "explain", *arguments]
    environment = {**os.environ, "KUBECONFIG": str(kubeconfig)}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=60)


@pytest.fixture
def decided(world: World) -> World:
    """A deployment whose operator has decided once and kept it."""
    (entry,) = noted((), "light", 1, GROWN)
    ready = {
        "type": "Ready",
        "status": "True",
        "reason": "Available",
        "message": "",
        "lastTransitionTime": "2026-11-11T20:00:00Z",
    }
    pool = {"name": "light", "desiredReplicas": 4, "lastDecision": entry.decision.to_json()}
    world.apply(two_pools())
    patch = json.dumps({"status": {"conditions": [ready], "pools": [pool]}})
    world.kubectl("patch", f"{names.CRD_NAME}/shop", "--subresource=status", "--type=merge", "-p", patch)
    data = {names.SCALING_JOURNAL_KEY: journal_text([entry])}
    name = names.scaling_state_name("shop")
    world.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data})
    return world


def test_a_person_reads_why(decided: World) -> None:
    told = explain(decided.cluster.kubeconfig, "shop", "-n", decided.namespace)
    lines = [" ".join(line.split()) for line in told.stdout.splitlines()]
    assert (told.returncode, lines[0]) == (0, "shop: ready")
    assert "TokenDemand 900 250 4 Fresh Prometheus won" in lines
    assert "Concurrency 6 - Held: Missing -" in lines
    assert "2026-11-11T20:00:00Z light 1 -> 4 ScaleUpLimit TokenDemand ScaleUpLimit 1 -> 4" in lines


def test_a_program_reads_why(decided: World) -> None:
    body = json.loads(explain(decided.cluster.kubeconfig, "shop", "-n", decided.namespace, "-o", "json").stdout)
    assert body["decisions"][0]["decision"] == body["pools"][0]["lastDecision"]


def test_without_a_journal_the_status_tells_the_last_decision(decided: World) -> None:
    decided.kubectl("delete", "configmap", names.scaling_state_name("shop"))
    told = explain(decided.cluster.kubeconfig, "shop", "-n", decided.namespace)
    assert (told.returncode, told.stderr) == (0, "")
    assert "limited by ScaleUpLimit" in told.stdout
    assert "newest first" not in told.stdout


def test_who_may_not_read_the_journal_is_told(decided: World) -> None:
    reader = "reader-of-deployments"
    decided.kubectl("create", "role", reader, "--verb=get", f"--resource={names.PLURAL}.{names.GROUP}")
    decided.kubectl("create", "rolebinding", reader, f"--role={reader}", f"--user={reader}")
    told = explain(decided.cluster.kubeconfig_for(reader), "shop", "-n", decided.namespace)
    assert told.returncode == 0
    assert "the journal cannot be read: 403 Forbidden" in told.stderr
    assert "decided 4" in told.stdout


def test_a_name_that_does_not_exist(world: World) -> None:
    told = explain(world.cluster.kubeconfig, "nobody", "-n", world.namespace)
    assert (told.returncode, told.stdout) == (1, "")
    assert f"no {names.KIND} nobody in namespace {world.namespace}" in told.stderr


def test_a_cluster_that_cannot_be_reached(world: World, tmp_path: Path) -> None:
    gone = tmp_path / "kubeconfig"
    server = f"https://{world.cluster.kubeconfig.read_text().split('https://')[1].split()[0]}"
    gone.write_text(world.cluster.kubeconfig.read_text().replace(server, "https://127.0.0.1:1"))
    told = explain(gone, "shop")
    assert told.returncode == 1
    assert "cannot be reached" in told.stderr
    assert "Traceback" not in told.stderr
