"""Configuration and endpoints from files or the command line: for tests and benchmarks, without Kubernetes."""

import asyncio
import logging
from pathlib import Path
from typing import Final

from pydantic import BaseModel, ConfigDict

from autoglm_api.config import GatewayConfig
from autoglm_gateway.balance import Address
from autoglm_gateway.fleet import Endpoints, Fleet

log = logging.getLogger(__name__)

_POLL_SECONDS: Final = 0.1


class FileReplica(BaseModel):
    """One replica in an endpoints file."""

    model_config = ConfigDict(extra="forbid")
    address: str
    pool: str
    revision: str = ""


class FileEndpoints(BaseModel):
    """An endpoints file: `{"gateways": 1, "replicas": [{"address": "127.0.0.1:8000", "pool": "light"}]}`."""

    model_config = ConfigDict(extra="forbid")
    gateways: int = 1
    replicas: list[FileReplica]


def parse_endpoints(text: str) -> FileEndpoints:
    """Parse `host:port=pool,...`; raises ValueError when it is something else."""
    replicas = []
    for item in filter(None, text.split(",")):
        address, _, pool = item.partition("=")
        if not pool:
            raise ValueError(f"{item!r} is not host:port=pool")
        replicas.append(FileReplica(address=address, pool=pool))
    return FileEndpoints(replicas=replicas)


def endpoints_in(found: FileEndpoints) -> Endpoints:
    """Return the endpoints in the gateway's own form."""
    replicas: dict[str, dict[Address, str]] = {}
    for replica in found.replicas:
        host, _, port = replica.address.rpartition(":")
        replicas.setdefault(replica.pool, {})[Address(host, int(port))] = replica.revision
    return Endpoints(replicas, found.gateways)


async def follow_files(
    fleet: Fleet,
    config: Path,
    endpoints: str,
    weights: Path | None = None,
    keys: Path | None = None,
    redis: Path | None = None,
    certificate: Path | None = None,
) -> None:
    """Read all, then again whenever a file changes, until cancelled; `endpoints` is a file or a list.

    `weights` stands for the ConfigMap that the configuration names, the directory `keys` for its Secret.
    `redis` stands for the Secret's entry with the URL of the cache's Redis, the directory `certificate` for the Secret
    of TLS.
    Replace the files by a rename, as a half-written one ends the gateway with the parser's error. A file that cannot be
    read at the start ends it, too; later on, what was read last goes on to hold.
    """
    seen: dict[Path, str] = {}
    endpoints_file = Path(endpoints)
    if "=" in endpoints or not endpoints:
        fleet.locate(endpoints_in(parse_endpoints(endpoints)))

    def read() -> None:
        if (text := _changed(config, seen)) is not None:
            fleet.configure(GatewayConfig.model_validate_json(text))
        if weights is not None:
            fleet.weigh(weights.name, _text_of(weights))
        _read_secrets(fleet, keys, certificate, redis)
        if "=" not in endpoints and endpoints and (text := _changed(endpoints_file, seen)) is not None:
            fleet.locate(endpoints_in(FileEndpoints.model_validate_json(text)))

    read()
    while True:
        await asyncio.sleep(_POLL_SECONDS)
        try:
            read()
        except OSError as error:  # such as no free descriptor in a crowd: what is known goes on to hold
            log.warning("files cannot be read now: %s", error)


def _read_secrets(fleet: Fleet, keys: Path | None, certificate: Path | None, redis: Path | None) -> None:
    if keys is not None:
        fleet.callers.follow(_entries_of(keys))
    if certificate is not None:
        fleet.certify(str(certificate), _entries_of(certificate))
    if redis is not None:
        fleet.use_redis(_text_of(redis))


def _entries_of(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(directory.iterdir()) if path.is_file()}


def _text_of(path: Path) -> str | None:
    return path.read_text() if path.exists() else None


def _changed(path: Path, seen: dict[Path, str]) -> str | None:
    text = path.read_text()
    if seen.get(path) == text:
        return None
    seen[path] = text
    return text
