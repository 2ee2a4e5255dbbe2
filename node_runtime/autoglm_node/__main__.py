"""`python3 -m autoglm_node [--spec FILE]`: PID 1 of a worker's container."""

import logging
import sys

import uvloop

from autoglm_node.node import Node
from autoglm_node.processes import become_subreaper
from autoglm_node.settings import Settings, from_arguments


def main() -> int:
    """Run a node and return its exit code (names.EXIT_*; 0 after a drain)."""
    settings = from_arguments(sys.argv[1:])
    logging.basicConfig(level=settings.log_level, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    become_subreaper()
    code: int = uvloop.run(_live(settings))
    return code


async def _live(settings: Settings) -> int:
    return await Node(settings).run()


if __name__ == "__main__":
    sys.exit(main())
