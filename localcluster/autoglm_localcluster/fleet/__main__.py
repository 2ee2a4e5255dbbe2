"""Runs the fleet: `python -m autoglm_localcluster.fleet`, with profiles from the environment."""

import asyncio
import os
from typing import Final

import prometheus_client
import uvloop

from autoglm_api import names
from autoglm_localcluster.fleet.front import Fleet
from autoglm_localcluster.fleet.profile import PROFILES_VARIABLE, profiles_from
from autoglm_transport.limits import Limits
from autoglm_transport.server import HttpServer

# Every address of the fleet's own network namespace, which nothing but the cluster is routed to.
_ANY_ADDRESS: Final = "0.0.0.0"  # noqa: S104


async def serve() -> None:
    """Serve until the process is ended."""
    fleet = Fleet(profiles_from(os.environ.get(PROFILES_VARIABLE) or "{}"))
    front = HttpServer(fleet.front, Limits(max_connections=50_000))
    admin = HttpServer(fleet.admin, Limits(max_connections=50_000))
    host = os.environ.get("AUTOGLM_FLEET_HOST", _ANY_ADDRESS)
    await front.start(host, int(os.environ.get("AUTOGLM_FLEET_PORT", str(names.WORKER_PORT))))
    await admin.start(host, int(os.environ.get("AUTOGLM_FLEET_ADMIN_PORT", str(names.WORKER_ADMIN_PORT))))
    await asyncio.Event().wait()


# The time of creation of every series is of no use here and doubles the pages.
prometheus_client.disable_created_metrics()  # type: ignore[no-untyped-call]
uvloop.run(serve())
