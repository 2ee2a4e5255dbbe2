"""A worker measured by other people's clients: perf_analyzer, Model Analyzer (remote mode) and aiperf.

    PYTHONPATH=tests python benchmarks/node/clients.py [--model light|large] [--clients N] [--seconds N]

The programs come from PyPI into ~/.cache/autoglm/clients at the first run (1.2 GB). Each measures the same worker, a
real Triton with the CPU engine, and its own figures are printed; they differ in what they ask and in what they count.
"""

import argparse
import csv
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final, NamedTuple

import yaml

from autoglm_localcluster.triton import triton_root
from support.node_artifacts import engine_spec
from support.node_process import NodeProcess, node_process

CACHE: Final = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "autoglm" / "clients"
# Newer wheels of tritonclient do not carry perf_analyzer.
PACKAGES: Final = {
    "perf_analyzer": ("--no-deps", "tritonclient==2.51.0"),
    "model-analyzer": ("triton-model-analyzer==1.58.0",),
    "aiperf": ("aiperf==0.13.0",),
}
ARTIFACTS: Final = Path(__file__).resolve().parents[2] / "models" / "artifacts"
QUESTION: Final = "What does the kettle cost?"
TOKENS: Final = 8
SLOTS: Final = 16
STABILITY: Final = "99"  # percent by which results may differ; shared cores do not settle at less
WINDOWS: Final = "10"
LIMIT_SECONDS: Final = 600


class Figures(NamedTuple):
    """What a client measured."""

    client: str
    against: str
    clients: int
    per_second: float
    p50_milliseconds: float | None
    p99_milliseconds: float

    def __str__(self) -> str:
        """Return a row of a table."""
        median = "-" if self.p50_milliseconds is None else f"{self.p50_milliseconds:.1f}"
        figures = f"{self.per_second:.0f} | {median} | {self.p99_milliseconds:.1f}"
        return f"| {self.client} | {self.against} | {self.clients} | {figures} |"


class Measured(NamedTuple):
    """A worker, the name of its model, and how it is measured."""

    node: NodeProcess
    model: str
    directory: Path
    clients: int
    seconds: int


def main() -> None:
    """Measure one worker with all clients."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", choices=("light", "large"), default="light")
    parser.add_argument("--clients", type=int, default=4)
    parser.add_argument("--seconds", type=int, default=5, help="of one measurement")
    given = parser.parse_args()
    for program in PACKAGES:
        program_of(program)
    print(f"{platform.machine()}, {os.cpu_count()} cores, model {given.model}, {SLOTS} slots")
    print("| client | against | clients | queries/s | p50 ms | p99 ms |\n|---|---|---|---|---|---|")
    model = f"glm-shop-{given.model}"
    with tempfile.TemporaryDirectory() as directory:
        spec = engine_spec(ARTIFACTS / model, model_name=model, concurrency=SLOTS)
        with node_process(spec, Path(directory) / "node", "--propagation-seconds", "0") as node:
            node.wait_ready()
            worker = Measured(node, model, Path(directory), given.clients, given.seconds)
            for client in (by_perf_analyzer, by_model_analyzer, by_aiperf):
                for figures in client(worker):
                    print(figures, flush=True)


def by_perf_analyzer(worker: Measured) -> Iterator[Figures]:
    """Measure by gRPC and at the OpenAI path."""
    grpc = ["-u", worker.node.grpc, "-i", "grpc", "--input-data", str(tensors(worker))]
    yield perf_analyzed(worker, "gRPC", grpc)
    asked = {"model": worker.model, "max_tokens": TOKENS, "messages": [{"role": "user", "content": QUESTION}]}
    chats = written(worker.directory / "chats.json", json.dumps({"data": [{"payload": [asked]}]}))
    path = ["--service-kind", "openai", "--endpoint", "v1/chat/completions"]
    yield perf_analyzed(worker, "chat completions", ["-u", worker.node.url, "-a", *path, "--input-data", str(chats)])


def perf_analyzed(worker: Measured, against: str, arguments: Iterable[str]) -> Figures:
    """Return what perf_analyzer tells."""
    table = worker.directory / "perf.csv"
    timing = ["-p", str(1000 * worker.seconds), "-s", STABILITY, "-r", WINDOWS, "-f", str(table), "--verbose-csv"]
    load = ["--concurrency-range", str(worker.clients)]
    run(worker, "perf_analyzer", "-m", worker.model, *arguments, *load, *timing)
    (row,) = rows(table)
    p50, p99 = (float(row[f"p{share} latency"]) / 1e3 for share in (50, 99))
    return Figures("perf_analyzer", against, worker.clients, float(row["Inferences/Second"]), p50, p99)


def by_model_analyzer(worker: Measured) -> Iterator[Figures]:
    """Let Model Analyzer profile the worker in remote mode, by one client and by all."""
    flags = {"input-data": [str(tensors(worker))], "stability-percentage": int(STABILITY), "max-trials": int(WINDOWS)}
    window = {"measurement-interval": 1000 * worker.seconds, "measurement-mode": "time_windows"}
    export = worker.directory / "analyzed"
    config = {
        "profile_models": {
            worker.model: {
                "parameters": {"concurrency": sorted({1, worker.clients}), "batch_sizes": [1]},
                "perf_analyzer_flags": {**flags, **window},
            }
        },
        "triton_launch_mode": "remote",
        "client_protocol": "grpc",
        "triton_grpc_endpoint": worker.node.grpc,
        "triton_http_endpoint": worker.node.url.removeprefix("http://"),
        "triton_metrics_url": f"{worker.node.admin_url}/metrics",
        "run_config_search_disable": True,
        "gpus": [],
        "output_model_repository_path": str(worker.directory / "variants"),
        "checkpoint_directory": str(worker.directory / "checkpoints"),
        "export_path": str(export),
        "filename_model_inference": "inference.csv",
    }
    run(worker, "model-analyzer", "profile", "-f", str(written(worker.directory / "ma.yaml", yaml.safe_dump(config))))
    for row in rows(export / "results" / "inference.csv"):
        rate, p99 = float(row["Throughput (infer/sec)"]), float(row["p99 Latency (ms)"])
        yield Figures("Model Analyzer", "gRPC, remote mode", int(row["Concurrency"]), rate, None, p99)


def by_aiperf(worker: Measured) -> Iterator[Figures]:
    """Let aiperf read streams; its latency is that of the first token."""
    tokeniser, out = worker.directory / "tokeniser", worker.directory / "aiperf"
    tokeniser.mkdir()
    for file in ("tokenizer.json", "config.json"):
        shutil.copy(ARTIFACTS / worker.model / file, tokeniser)
    written(tokeniser / "tokenizer_config.json", json.dumps({"tokenizer_class": "PreTrainedTokenizerFast"}))
    load = ["--concurrency", str(worker.clients), "--benchmark-duration", str(worker.seconds)]
    asked = ["--synthetic-input-tokens-mean", "30", "--output-tokens-mean", str(TOKENS), "--tokenizer", str(tokeniser)]
    target = ["--model", worker.model, "--url", worker.node.url, "--endpoint-type", "chat", "--streaming"]
    run(worker, "aiperf", "profile", *target, *load, *asked, "--artifact-dir", str(out), "--ui", "none")
    told = json.loads((out / "profile_export_aiperf.json").read_text())
    first, rate = told["time_to_first_token"], told["request_throughput"]["avg"]
    yield Figures("aiperf", "streams; time to first token", worker.clients, rate, first["p50"], first["p99"])


def tensors(worker: Measured) -> Path:
    """Return a file with what perf_analyzer asks by the Open Inference Protocol."""
    asked = {"data": [{"text_input": [QUESTION], "max_tokens": [TOKENS]}]}
    return written(worker.directory / "tensors.json", json.dumps(asked))


def rows(table: Path) -> list[dict[str, str]]:
    """Return the rows of a table with a header."""
    with table.open(newline="", encoding="utf-8") as lines:
        return list(csv.DictReader(lines))


def written(file: Path, text: str) -> Path:
    """Write a text and return the file."""
    file.write_text(text, encoding="utf-8")
    return file


def run(worker: Measured, program: str, *arguments: str) -> None:
    """Run a client; whatever it prints is shown when it fails."""
    home = {"HOME": str(worker.directory), "LD_LIBRARY_PATH": str(libraries())}
    path = f"{program_of('perf_analyzer').parent}:{os.environ['PATH']}"
    done = subprocess.run(
        [str(program_of(program)), *arguments],
        cwd=worker.directory,
        env={**os.environ, **home, "PATH": path},
        capture_output=True,
        text=True,
        timeout=LIMIT_SECONDS,
        check=False,
    )
    if done.returncode:
        sys.exit(f"{program} failed ({done.returncode}):\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}")


def program_of(name: str) -> Path:
    """Return a client, fetched first where it is not there."""
    venv = CACHE / name
    program = venv / "bin" / name
    if not (venv / "complete").exists():
        print(f"fetching {' '.join(PACKAGES[name])} into {venv}", flush=True)
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(venv)], check=True)
        subprocess.run([str(venv / "bin" / "pip"), "install", "--quiet", *PACKAGES[name]], check=True)
        program.chmod(0o755)
        (venv / "complete").touch()
    return program


def libraries() -> Path:
    """Return a directory with the two libraries that perf_analyzer wants, under the names that it wants."""
    directory = CACHE / "libraries"
    directory.mkdir(parents=True, exist_ok=True)
    for pattern, name in (("libb64-*.so.0d", "libb64.so.0d"), ("libcudart-*.so.12*", "libcudart.so.12")):
        (library,) = (triton_root() / "lib").glob(pattern)
        (directory / name).unlink(missing_ok=True)
        (directory / name).symlink_to(library)
    return directory


if __name__ == "__main__":
    main()
