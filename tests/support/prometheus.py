"""A real Prometheus on a free loopback port, and an exporter whose answer a test sets.

The program is the one on PATH, or Debian's package unpacked into the cache (no service is installed or started).
"""

import json
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Self

import httpx

from autoglm_localcluster.paths import cache_dir

_START_SECONDS = 30.0


def free_port() -> int:
    """Return a TCP port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


@cache
def prometheus_program() -> Path | None:
    """Return the prometheus program; None where neither PATH nor apt has one."""
    found = shutil.which("prometheus")
    return Path(found) if found else _unpacked()


def _unpacked() -> Path | None:
    folder = cache_dir() / "prometheus-debian"
    program = folder / "usr/bin/prometheus"
    if not program.exists():
        folder.mkdir(parents=True, exist_ok=True)
        try:
            _run("apt-get", "download", "-q", "prometheus", cwd=folder)
            _run("dpkg-deb", "--extract", next(folder.glob("prometheus_*.deb")), ".", cwd=folder)
        except (subprocess.CalledProcessError, FileNotFoundError) as error:
            sys.stderr.write(f"no Prometheus here: {error}\n")
            return None
    return program


def _run(*command: str | Path, cwd: Path) -> None:
    subprocess.run(command, cwd=cwd, check=True, capture_output=True)


class Prometheus:
    """One server over one data folder: it can be stopped, killed and started again at the same address."""

    def __init__(self, program: Path, folder: Path, targets: Mapping[str, Mapping[str, str]]) -> None:
        self._program = program
        self._folder = folder
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._process: subprocess.Popen[bytes] | None = None
        self.scrape(targets)

    def scrape(self, targets: Mapping[str, Mapping[str, str]]) -> None:
        """Scrape these addresses with these target labels from now on (found within a second)."""
        groups = [{"targets": [address], "labels": dict(labels)} for address, labels in targets.items()]
        listing = self._folder / "targets.json"
        (self._folder / "targets.tmp").write_text(json.dumps(groups))
        (self._folder / "targets.tmp").replace(listing)
        found = {"files": [str(listing)], "refresh_interval": "1s"}
        job = {"job_name": "pods", "scrape_interval": "1s", "scrape_timeout": "1s", "file_sd_configs": [found]}
        (self._folder / "prometheus.yml").write_text(json.dumps({"scrape_configs": [job]}))

    def start(self) -> Self:
        """Start the server and wait until it answers."""
        arguments = [
            f"--config.file={self._folder / 'prometheus.yml'}",
            f"--storage.tsdb.path={self._folder / 'data'}",
            f"--web.listen-address=127.0.0.1:{self.port}",
            "--log.level=warn",
        ]
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen([self._program, *arguments], stdout=log, stderr=log)
        self._await_ready()
        return self

    def stop(self) -> None:
        """Stop the server and wait for it."""
        if self._process is None:
            return
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(timeout=15)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None

    def _await_ready(self) -> None:
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline:
            try:
                if httpx.get(f"{self.url}/-/ready", trust_env=False).is_success:
                    return
            except httpx.TransportError:
                pass
            time.sleep(0.1)
        self.stop()
        raise RuntimeError(f"Prometheus did not start: {(self._folder / 'log').read_text()[-2000:]}")


class Exporter:
    """Serves `text` as /metrics on loopback, in a thread."""

    def __init__(self, text: str = "") -> None:
        self.text = text
        exporter = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                body = exporter.text.encode()
                self.send_response(200)
                self.send_header("Content-Type", "text/plain; version=0.0.4")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    @property
    def address(self) -> str:
        """The address to scrape."""
        return f"127.0.0.1:{self._server.server_address[1]}"

    def stop(self) -> None:
        """Stop serving: the next scrape fails."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
