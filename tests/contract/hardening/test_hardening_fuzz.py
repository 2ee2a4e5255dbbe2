"""A short run of benchmarks/fuzz, and what its long runs have found."""

import subprocess
import sys
from pathlib import Path

from autoglm_transport.http import Request
from autoglm_transport.responder import Responder
from support.raw_http import exchange, request, serving, status_of

ROOT = Path(__file__).parents[3]


def test_mutants_of_requests_and_bodies_break_nothing() -> None:
    command = [sys.executable, str(ROOT / "benchmarks/fuzz/run.py"), "--inputs", "20000", "--seed", "3"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert (done.returncode, "20,000 inputs" in done.stdout) == (0, True), done.stderr


async def test_what_is_refused_behind_an_upgrade_does_not_cost_the_upgrade_its_answer() -> None:
    async def serve(request: Request, responder: Responder) -> None:
        await responder.send(200)

    upgrade = request(target="/1", extra="Connection: upgrade\r\nUpgrade: h2c\r\n", close=False)
    async with serving(serve) as (_, port):
        answer = await exchange(port, upgrade + b"GET /2.0\r\n\r\n")
        assert (status_of(answer), b"connection: close" in answer) == (200, True)
