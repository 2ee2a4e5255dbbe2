"""The gateway of the soak: the real one from files, which also writes down what only it can count.

    python benchmarks/soak/gateway.py FIGURES CONFIG ENDPOINTS KEYS REDIS PORT_FILE

`FIGURES` gets a line of JSON every few seconds: bytes that Python holds (tracemalloc), tasks and threads.
"""

import asyncio
import gc
import json
import logging
import sys
import threading
import time
import tracemalloc
from functools import partial
from pathlib import Path
from typing import Final

import uvloop

from autoglm_gateway.app import Gateway, Settings
from autoglm_gateway.files import follow_files

EVERY_SECONDS: Final = 5.0


async def main() -> None:
    """Serve until SIGTERM."""
    figures, config, endpoints, keys, redis, port_file = sys.argv[1:]
    source = partial(
        follow_files,
        config=Path(config),
        endpoints=endpoints,
        keys=Path(keys),
        redis=Path(redis) if redis else None,
    )
    settings = Settings(
        host="127.0.0.1", port=0, admin_port=0, answer_seconds=10, stall_seconds=5, propagation_seconds=0
    )
    gateway = Gateway(settings, source)
    started = gateway.start

    async def start() -> tuple[int, int]:
        ports = await started()
        Path(port_file).write_text(json.dumps(ports))  # noqa: ASYNC240 - once, before anybody asks
        return ports

    gateway.start = start  # type: ignore[method-assign]
    counting = asyncio.create_task(count(Path(figures)))
    await gateway.run()
    counting.cancel()


async def count(figures: Path) -> None:
    """Write down figures until cancelled."""
    with figures.open("a") as out:
        while True:
            gc.collect()
            line = {
                "at": time.monotonic(),
                "python_bytes": tracemalloc.get_traced_memory()[0],
                "tasks": len(asyncio.all_tasks()),
                "threads": threading.active_count(),
            }
            print(json.dumps(line), file=out, flush=True)
            await asyncio.sleep(EVERY_SECONDS)


if __name__ == "__main__":
    logging.basicConfig(level="WARNING")
    tracemalloc.start(1)
    uvloop.run(main())
