"""What Helm is told: values of the chart as strings, but for those that are true or false."""

import subprocess
from typing import Any

import pytest

from autoglm_demo import ground
from autoglm_localcluster.cluster import Cluster
from autoglm_localcluster.paths import RunDir


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The commands that were run; the first word of a failing one is `broken`."""
    commands: list[list[str]] = []

    def run(command: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
        commands.append(command)
        return subprocess.CompletedProcess(command, int("broken" in command), "out\n", "no such release\n")

    monkeypatch.setattr(subprocess, "run", run)
    return commands


@pytest.fixture
def cluster() -> Cluster:
    run = RunDir.named("nowhere")
    return Cluster("nowhere", "local", run.root / "kubeconfig", "https://127.0.0.1:1", run.root, has_node=True)


@pytest.mark.parametrize(
    ("value", "flag", "written"),
    [
        ("dev", "--set-string", "x=dev"),
        ("7", "--set-string", "x=7"),
        (True, "--set", "x=true"),
        (False, "--set", "x=false"),
    ],
)
def test_a_value_keeps_its_type(
    told: list[list[str]], cluster: Cluster, *, value: str | bool, flag: str, written: str
) -> None:
    ground.install(cluster, {"x": value})
    (command,) = told
    assert command[command.index(flag) + 1] == written
    assert command[:3] == ["helm", "upgrade", "--install"]


def test_a_failing_helm_says_why(told: list[list[str]], cluster: Cluster) -> None:
    with pytest.raises(ground.GroundError, match="helm broken: no such release"):
        ground.helm(cluster, "broken")
    assert ground.helm(cluster, "list") == "out\n"


@pytest.mark.parametrize("name", ["01-two-pools", "02-flash-sale"])
def test_an_examples_spec_is_the_one_of_its_deployment(
    monkeypatch: pytest.MonkeyPatch, cluster: Cluster, name: str
) -> None:
    applied: list[tuple[str, ...]] = []
    monkeypatch.setattr(Cluster, "kubectl", lambda _, *words: applied.append(words))
    spec = ground.apply_example(cluster, name)
    assert {pool.name for pool in spec.pools} == {"light", "large"}
    assert applied == [("apply", "-f", str(ground.EXAMPLES / name / "manifest.yaml"))]
