import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner, Result

from autoglm_api.spec import Scaling
from autoglm_cli.main import app
from autoglm_operator.scaling.deployment import DeploymentState, PoolInput, decide_deployment
from autoglm_operator.scaling.journal import LOGGER, Entry, line_for
from autoglm_operator.scaling.model import PoolTarget
from support.scaling_pools import fresh_load, scaling
from support.scaling_times import at

QUEUES = [0, 0, 60, 60, 60, 0, 0, 0]


def run(*words: str, text: str | None = None) -> Result:
    return CliRunner().invoke(app, ["replay", *words], input=text)


def decided(rules: Scaling, pool: str = "light") -> list[Entry]:
    entries, state, size = list[Entry](), DeploymentState(), 2
    for tick, queued in enumerate(QUEUES):
        pools = {pool: PoolInput(PoolTarget(rules, size, size, rolling_out=False), fresh_load(queued, 5))}
        decisions, state = decide_deployment(pools, None, state, at(5 * tick))
        entries.append(Entry(f"shop/assistant/{pool}", *pools[pool], decisions[pool]))
        size = decisions[pool].replicas
    return entries


def log_of(entries: list[Entry]) -> str:
    noise = "2026-01-05 08:00:00,000 INFO autoglm_operator.shell.run watching\n"
    return noise + "".join(f"2026-01-05 08:00:00,001 DEBUG {LOGGER} {line_for(entry)}\n{noise}" for entry in entries)


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "operator.log"
    path.write_text(log_of(decided(scaling(1, 20))), "utf-8")
    return path


def manifest(folder: Path, maximum: int) -> str:
    pools = [
        {
            "name": name,
            "serves": serves,
            "model": {"name": name, "uri": "pvc://models/m"},
            "scaling": {"minReplicas": 1, "maxReplicas": maximum},
        }
        for name, serves in (("light", "Simple"), ("large", "Complex"))
    ]
    path = folder / "shop.yaml"
    path.write_text(yaml.safe_dump({"kind": "AutoGLMDeployment", "spec": {"pools": pools}}), "utf-8")
    return str(path)


def test_a_log_is_decided_the_same_again(log: Path) -> None:
    result = run(str(log), "-o", "json")
    assert result.exit_code == 0, result.output
    [pool] = json.loads(result.stdout)
    assert pool["pool"] == "shop/assistant/light"
    assert (pool["decisions"], pool["different"], pool["firstDifference"]) == (len(QUEUES), 0, None)
    assert pool["replicasThen"] == pool["replicasNow"] > 2


def test_a_log_comes_through_a_pipe_too(log: Path) -> None:
    assert run("-", text=log.read_text("utf-8")).exit_code == 0


def test_lines_alone_are_a_log(tmp_path: Path) -> None:
    path = tmp_path / "lines.jsonl"
    path.write_text("".join(f"{line_for(entry)}\n" for entry in decided(scaling(1, 20))), "utf-8")
    assert run(str(path)).exit_code == 0


def test_a_decision_that_comes_out_otherwise_is_told(tmp_path: Path) -> None:
    entries = decided(scaling(1, 20))
    entries[3] = replace(entries[3], decision=replace(entries[3].decision, replicas=19))
    path = tmp_path / "operator.log"
    path.write_text(log_of(entries), "utf-8")
    result = run(str(path), "-o", "json")
    assert result.exit_code == 1
    [pool] = json.loads(result.stdout)
    assert pool["different"] == 1
    assert pool["firstDifference"].startswith((at(0) + timedelta(seconds=15)).isoformat())


def test_another_policy_is_tried_on_history(log: Path, tmp_path: Path) -> None:
    result = run(str(log), "-f", manifest(tmp_path, maximum=2), "-o", "json")
    assert result.exit_code == 0, "a back-test is expected to differ"
    [pool] = json.loads(result.stdout)
    assert pool["different"] > 0
    assert pool["replicasNow"] == 2 < pool["replicasThen"]


def test_the_table_names_the_pool_and_the_counts(log: Path) -> None:
    lines = run(str(log)).stdout.splitlines()
    assert any("shop/assistant/light" in line and f" {len(QUEUES)} " in line for line in lines)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "holds no decisions: the operator logs them at level DEBUG"),
        ("2026-01-05 INFO autoglm_operator.shell.run watching\n", "holds no decisions"),
        (f"x DEBUG {LOGGER} {{}}\n", "line 1 is no decision of this version"),
        (f'noise\nx DEBUG {LOGGER} {{"pool": "a/b/c", "tar', "line 2 is no decision"),
    ],
)
def test_a_log_without_decisions_or_cut_short_is_refused(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "operator.log"
    path.write_text(text, "utf-8")
    result = run(str(path))
    assert result.exit_code == 2
    assert said in " ".join(result.stderr.split())


def test_an_absent_log_and_a_foreign_manifest_are_refused(log: Path, tmp_path: Path) -> None:
    assert "cannot be read" in run(str(tmp_path / "none.log")).stderr
    foreign = tmp_path / "pod.yaml"
    foreign.write_text("kind: Pod\n", "utf-8")
    result = run(str(log), "-f", str(foreign))
    assert (result.exit_code, "has no AutoGLMDeployment" in result.stderr) == (2, True)


def test_a_manifest_without_the_logs_pools_leaves_nothing_to_decide(tmp_path: Path) -> None:
    path = tmp_path / "operator.log"
    path.write_text(log_of(decided(scaling(1, 20), pool="other")), "utf-8")
    result = run(str(path), "-f", manifest(tmp_path, maximum=2))
    assert (result.exit_code, "holds no decisions" in result.stderr) == (2, True)
