import csv
import gzip
import io
import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner, Result

from autoglm_cli.main import app

TRACE = "timestamp_s,input_tokens,output_tokens\n" + "".join(f"{second}.5,300,100\n" for second in range(400))
KEYS = {
    "sloAttainmentPercent",
    "costVsOracle",
    "costVsStaticPeak",
    "flapsPerHour",
    "scaleEventsPerHour",
    "recoverySeconds",
    "gpuHours",
}
MODEL = {"uri": "pvc://models/m"}


def pool(name: str, serves: str, **scaling: Any) -> dict[str, Any]:
    signals = [{"type": "Concurrency", "target": "6"}]
    return {
        "name": name,
        "serves": serves,
        "model": {**MODEL, "name": name},
        "concurrencyPerReplica": 4,
        "engine": {"gpusPerReplica": 2},
        "scaling": {"minReplicas": 2, "maxReplicas": 9, "signals": signals, **scaling},
    }


@pytest.fixture
def trace(tmp_path: Path) -> str:
    path = tmp_path / "trace.csv.gz"
    path.write_bytes(gzip.compress(TRACE.encode()))
    return str(path)


@pytest.fixture
def manifest(tmp_path: Path) -> str:
    body = {
        "apiVersion": "autoglm.dev/v1alpha1",
        "kind": "AutoGLMDeployment",
        "metadata": {"name": "shop"},
        "spec": {"pools": [pool("light", "Simple", startupSeconds=40), pool("large", "Complex")]},
    }
    path = tmp_path / "shop.yaml"
    path.write_text("kind: Namespace\n---\n" + yaml.safe_dump(body), "utf-8")
    return str(path)


def call(*words: str) -> Result:
    return CliRunner().invoke(app, ["simulate", *words])


def answer(*words: str) -> dict[str, Any]:
    result = call(*words, "--output", "json")
    assert result.exit_code == 0, result.output
    body: dict[str, Any] = json.loads(result.stdout)
    return body


def test_one_run_has_its_figures_at_the_top(trace: str) -> None:
    body = answer(trace, "--policy", "static")
    assert set(body) >= KEYS
    assert (body["policy"], body["sloAttainmentPercent"], body["costVsOracle"]) == ("static", 100.0, 1.0)
    assert body["gpuHours"] == pytest.approx(400 / 3600, rel=1e-4)


def test_both_fidelities_give_the_same_figures(trace: str) -> None:
    fluid, request = (answer(trace, "--policy", "static", "--fidelity", one) for one in ("fluid", "request"))
    assert fluid["gpuHours"] == request["gpuHours"]
    assert fluid["firstTokenP95Seconds"] is None
    assert request["firstTokenP95Seconds"] > 0


def test_a_pool_of_a_manifest_brings_its_bounds_gpus_and_start(trace: str, manifest: str) -> None:
    body = answer(trace, "-f", manifest, "--pool", "light", "--policy", "static")
    assert (body["pool"], body["meanReplicas"], body["gpuHours"]) == ("light", 2, pytest.approx(2 * 2 * 400 / 3600))
    assert (body["settings"]["startupSeconds"], body["settings"]["concurrency"]) == (40, 4)


def test_without_a_pool_each_gets_its_share(trace: str, manifest: str) -> None:
    words = (trace, "-f", manifest, "--policy", "static", "--capacity-tokens", "10", "--max", "1000")
    sizes = {one["pool"]: one["maxReplicas"] for one in answer(*words, "--simple-share", "0.75")["results"]}
    assert sizes == {"light": 36, "large": 12}


def vectors() -> dict[str, Any]:
    engine = {"backend": "ONNXRuntime", "gpusPerReplica": 0}
    return {**pool("vectors", "Embedding"), "model": {**MODEL, "name": "e", "kind": "Embedding"}, "engine": engine}


def with_pools(path: str, *pools: dict[str, Any]) -> str:
    spec = {"kind": "AutoGLMDeployment", "spec": {"pools": list(pools)}}
    Path(path).write_text(yaml.safe_dump(spec), "utf-8")
    return path


def test_texts_to_embed_are_no_complex_queries(trace: str, manifest: str) -> None:
    words = (trace, "--policy", "static", "--output", "json", "-f")
    without = json.loads(call(*words, manifest).stdout)["results"]
    result = call(*words, with_pools(manifest, pool("light", "Simple"), pool("large", "Complex"), vectors()))
    assert "left out: vectors, because the trace has no classes" in result.stderr
    assert [one["pool"] for one in json.loads(result.stdout)["results"]] == ["light", "large"]
    assert json.loads(result.stdout)["results"][1]["gpuHours"] == without[1]["gpuHours"]


def test_a_pool_for_embeddings_alone_has_to_be_asked_for(trace: str, manifest: str) -> None:
    only = with_pools(manifest, vectors())
    result = call(trace, "-f", only)
    assert (result.exit_code, "try --pool vectors" in result.stderr) == (2, True)
    assert answer(trace, "-f", only, "--pool", "vectors", "--policy", "static")["pool"] == "vectors"


def test_pools_of_a_manifest_share_its_gpu_budget(trace: str, manifest: str, tmp_path: Path) -> None:
    words = ("--capacity-tokens", "20", "--startup-seconds", "5", "--max", "20", "--initial", "2")
    free = answer(trace, "-f", manifest, *words)["results"]
    tight = tmp_path / "tight.yaml"
    tight.write_text(Path(manifest).read_text("utf-8") + "  gpuBudget: 12\n", "utf-8")
    held = answer(trace, "-f", str(tight), *words)["results"]
    assert sum(one["meanReplicas"] for one in free) > 6
    assert sum(one["meanReplicas"] for one in held) <= 6, "two GPUs per replica"
    request = answer(trace, "-f", str(tight), *words, "--fidelity", "request")["results"]
    assert [one["pool"] for one in request] == ["light", "large"]


@pytest.mark.parametrize("policy", ["ours", "static"])
def test_seeds_and_sweeps_keep_their_place_with_several_pools(trace: str, manifest: str, policy: str) -> None:
    words = (trace, "-f", manifest, "--policy", policy, "--sweep", "maxReplicas=2,9", "--seeds", "2")
    results = answer(*words)["results"]
    assert [(one["pool"], one["value"]) for one in results] == [
        ("light", "2"),
        ("light", "9"),
        ("large", "2"),
        ("large", "9"),
    ]
    assert all(one["maxReplicas"] <= int(one["value"]) for one in results)


def test_policies_are_compared_in_pairs(trace: str) -> None:
    body = answer(trace, "--policy", "static,hpa-token-rate", "--seeds", "2")
    assert [one["policy"] for one in body["results"]] == ["static", "hpa-token-rate"]
    (found,) = body["differences"]
    assert (found["policy"], found["than"], found["sloPoints"]["value"]) == ("static", "hpa-token-rate", 0)


def test_a_sweep_marks_its_front(trace: str) -> None:
    body = answer(trace, "--policy", "static", "--capacity-tokens", "20", "--sweep", "maxReplicas=5,24,30")
    assert [one["onParetoFront"] for one in body["results"]] == [True, True, True]
    assert [one["maxReplicas"] for one in body["results"]] == [5, 24, 24]


@pytest.mark.parametrize(
    "name", ["behavior.scaleDown.stabilizationWindowSeconds=60", "signals.0.target=2", "multiply=3"]
)
def test_fields_of_scaling_and_options_can_be_swept(trace: str, manifest: str, name: str) -> None:
    body = answer(trace, "-f", manifest, "--pool", "light", "--policy", "static", "--sweep", name)
    assert body["value"] == name.partition("=")[2]


def test_csv_has_a_row_per_result(trace: str) -> None:
    told = call(trace, "--policy", "static", "--policy", "hpa-token-rate", "--output", "csv").stdout
    rows = list(csv.DictReader(io.StringIO(told)))
    assert [row["policy"] for row in rows] == ["static", "hpa-token-rate"]
    assert set(rows[0]) >= KEYS


def test_the_table_is_whole_in_a_narrow_window(trace: str) -> None:
    assert "cost/static" in call(trace, "--policy", "static").stdout


def test_the_report_stands_alone(trace: str, tmp_path: Path) -> None:
    out = tmp_path / "report"
    assert call(trace, "--policy", "static", "--out", str(out)).exit_code == 0
    assert (out / "pool-static.png").read_bytes().startswith(b"\x89PNG")
    page = (out / "report.html").read_text("utf-8")
    assert "data:image/png;base64," in page
    assert "http" not in page
    assert json.loads((out / "results.json").read_text("utf-8"))["policy"] == "static"


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("generated:sale",), "no generated trace 'sale'; there are diurnal"),
        (("/nowhere.csv",), "cannot be read"),
        (("TRACE", "--policy", "magic"), "no policy 'magic'; there are"),
        (("TRACE", "--fault", "flood@1"), "with KIND one of outage"),
        (("TRACE", "--sweep", "maxReplicas"), "is not NAME=VALUE"),
        (("TRACE", "--sweep", "nothing.0=1"), "nothing"),
        (("TRACE", "--sweep", "capacity-tokens=-1"), "a number above 0"),
        (("TRACE", "--min", "5", "--max", "2"), "smallest size 5 is greater"),
        (("TRACE", "-f", "MANIFEST", "--pool", "huge"), "has no pool 'huge'; it has light, large"),
        (("TRACE", "-f", "TRACE"), "cannot be read"),
        (("TRACE", "--fidelity", "request", "--multiply", "100000"), "too many for the request model"),
    ],
)
def test_bad_input_ends_with_a_sentence(words: tuple[str, ...], sentence: str, trace: str, manifest: str) -> None:
    places = {"TRACE": trace, "MANIFEST": manifest}
    result = call(*(places.get(word, word) for word in words))
    assert result.exit_code == 2
    assert sentence in result.stderr
    assert "Traceback" not in result.stderr


def test_a_broken_manifest_is_told_by_its_field(trace: str, manifest: str) -> None:
    path = Path(manifest)
    path.write_text(path.read_text("utf-8").replace("maxReplicas: 9", "maxReplicas: many"), "utf-8")
    result = call(trace, "-f", manifest)
    assert result.exit_code == 2
    assert "pools.0.scaling.maxReplicas" in result.stderr
