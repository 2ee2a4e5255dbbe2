from pathlib import Path

import pytest
import yaml

from autoglm_api import names
from autoglm_localcluster import bundle, fakenodes, fingerprint, images, kind, node, toolchain
from autoglm_localcluster.builder import Buildah, Docker, Recipe
from autoglm_localcluster.cluster import Cluster
from autoglm_localcluster.host import Host
from autoglm_localcluster.paths import MANIFESTS, RunDir
from autoglm_localcluster.provider import ChoiceError, Provider, choose


def host(*, docker: bool = False, linux: bool = True, root: bool = True) -> Host:
    return Host(is_linux=linux, is_root=root, has_cgroup_v2=True, may_raise_limits=True, has_docker_engine=docker)


@pytest.mark.parametrize(
    ("docker", "forced", "chosen"),
    [
        (True, "", Provider.KIND),
        (False, "", Provider.LOCAL),
        (True, "local", Provider.LOCAL),
        (False, "kind", Provider.KIND),
        (False, "existing", Provider.EXISTING),
    ],
)
def test_choice_of_provider(docker: bool, forced: str, chosen: Provider) -> None:  # noqa: FBT001
    assert choose(host(docker=docker), {"AUTOGLM_CLUSTER": forced}) is chosen


def test_unknown_provider_is_named_with_the_known_ones() -> None:
    with pytest.raises(ChoiceError, match=r"minikube is not one of: local, kind, existing"):
        choose(host(), {"AUTOGLM_CLUSTER": "minikube"})


@pytest.mark.parametrize(
    ("machine", "reason"), [(host(linux=False), "Linux"), (host(root=False), "root"), (host(), "")]
)
def test_why_there_is_no_node(machine: Host, reason: str) -> None:
    assert machine.can_run_node is (reason == "")
    assert reason in machine.why_no_node()


@pytest.mark.parametrize(
    ("text", "version"),
    [("go1.26.8", (1, 26, 8)), ("go1.27rc1", (1, 27, 0)), ("go1.9", (1, 9, 0)), ("devel", ())],
)
def test_go_versions(text: str, version: tuple[int, ...]) -> None:
    assert toolchain.parse_go_version(text) == version


def test_our_own_programs_are_built_anew_when_their_source_changes(tmp_path: Path) -> None:
    (tmp_path / "main.go").write_text("package main")
    tool = toolchain.Tool("x", "1", toolchain.GoModule(tmp_path, ""), "")
    before = tool.path
    (tmp_path / "main.go").write_text("package main // changed")
    assert tool.path != before


def test_prebuilt_programs_have_the_servers_version() -> None:
    assert bundle.KUBECTL_VERSION == toolchain.KUBERNETES_VERSION


def test_fingerprint_sees_content_and_names_but_no_leftovers(tmp_path: Path) -> None:
    source = tmp_path / "package"
    (source / "__pycache__").mkdir(parents=True)
    (source / "a.py").write_text("1")
    first = fingerprint.of([source])
    (source / "__pycache__" / "a.pyc").write_text("x")
    assert fingerprint.of([source]) == first
    (source / "a.py").rename(source / "b.py")
    assert fingerprint.of([source]) != first
    assert fingerprint.of([source], "base") != fingerprint.of([source])


def test_an_absent_input_is_no_error(tmp_path: Path) -> None:
    assert fingerprint.of([tmp_path / "absent"])


def test_an_image_is_built_anew_when_its_base_changes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    base = images.Image("base", tmp_path / "base.Dockerfile", None, lambda: (), lambda _: None)
    top = images.Image("top", tmp_path / "top.Dockerfile", base.tag, lambda: (), lambda _: None)
    monkeypatch.setattr(images, "ALL", (base, top))
    base.dockerfile.write_text("FROM scratch")
    top.dockerfile.write_text("FROM base")
    before = images.key(top)
    base.dockerfile.write_text("FROM scratch # changed")
    assert images.key(top) != before


RECIPE = Recipe("autoglm/x:dev", Path("/d"), Path("/c"), {"BASE_IMAGE": "python:3.11-slim"})


def test_buildah_builds_without_an_engine_and_never_pulls() -> None:
    command = Buildah(Path("/s")).build_command(RECIPE)
    assert command[:3] == ["buildah", "--root", "/s/storage"]
    assert {"--pull-never", "--layers", "--build-arg=BASE_IMAGE=python:3.11-slim"} <= set(command)
    assert command[-1] == "/c"


def test_archives_carry_the_name_that_pods_ask_for() -> None:
    command = Buildah(Path("/s")).export_command("autoglm/x:dev", Path("/a.tar"))
    assert command[-1] == "docker-archive:/a.tar:autoglm/x:dev"


@pytest.mark.parametrize(
    ("present", "found"),
    [({"registry.example/autoglm/x:dev"}, True), ({"localhost/autoglm/x:dev"}, False), ({"r/autoglm/x:1"}, False)],
)
def test_an_image_is_told_by_its_short_name(present: set[str], *, found: bool) -> None:
    assert node.has_image(present, "autoglm/x:dev") is found


def test_docker_builds_the_same_recipe() -> None:
    assert Docker().build_command(RECIPE)[-5:] == ["--tag", "autoglm/x:dev", "--file", "/d", "/c"]


def test_kind_commands() -> None:
    program = Path("/kind")
    assert kind.create_command(program, "demo", Path("/k"))[:6] == [
        "/kind", "create", "cluster", "--name", "autoglm-demo", "--kubeconfig",
    ]  # fmt: skip
    assert kind.load_command(program, "demo", Path("/a.tar"))[1:] == [
        "load", "image-archive", "/a.tar", "--name", "autoglm-demo",
    ]  # fmt: skip
    assert kind.delete_command(program, "demo")[-1] == "autoglm-demo"


def test_fake_node_offers_gpus_behind_a_taint() -> None:
    node = yaml.safe_load(yaml.safe_dump(fakenodes.node_manifest(3, gpus=2)))
    assert node["metadata"]["labels"][names.LABEL_FAKE_GPU] == "true"
    assert node["spec"]["taints"] == [{"key": names.LABEL_FAKE_GPU, "value": "true", "effect": "NoSchedule"}]
    assert node["status"]["capacity"][names.GPU_RESOURCE] == "2"


def test_stages_have_no_placeholder_left() -> None:
    text = fakenodes.render_stages((MANIFESTS / "stages.yaml").read_text(), default_start_seconds=1.5)
    stages = {stage["metadata"]["name"]: stage for stage in yaml.safe_load_all(text)}
    assert "@" not in text
    assert stages["pod-ready"]["spec"]["delay"]["durationMilliseconds"] == 1500


def test_cluster_is_remembered(tmp_path: Path) -> None:
    run = RunDir(tmp_path / "demo")
    run.create()
    cluster = Cluster("demo", "local", run.kubeconfig, "https://127.0.0.1:1", run.root, has_node=True)
    assert Cluster.load(run) is None
    cluster.save()
    assert Cluster.load(run) == cluster
    assert cluster.environment()["KUBECONFIG"] == str(run.kubeconfig)


def test_run_directories_follow_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("AUTOGLM_RUN_DIR", str(tmp_path))
    assert RunDir.named("demo").root == tmp_path / "demo"
    monkeypatch.delenv("AUTOGLM_RUN_DIR")
    monkeypatch.setenv("XDG_CACHE_HOME", "/cache")
    assert RunDir.named("demo").root == Path("/cache/autoglm/run/demo")


def test_the_image_with_pytorch_differs_in_what_is_locked_and_is_built_on_demand_only() -> None:
    usual, large = images.NODE, images.NODE_PYTORCH
    assert (large.dockerfile, large.base) == (usual.dockerfile, usual.base)
    assert {file.name for file in {*large.inputs()} ^ {*usual.inputs()}} == {"node.txt", "pytorch.txt"}
    assert large not in images.ALL
