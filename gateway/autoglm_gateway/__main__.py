"""`python3 -m autoglm_gateway`: in a pod without arguments, elsewhere with `--config` and `--endpoints`."""

import argparse
import logging
import os
import sys
from functools import partial
from pathlib import Path
from typing import Final

import uvloop

from autoglm_api import names
from autoglm_gateway.app import Gateway, Settings, Source
from autoglm_gateway.files import follow_files

_FILES: Final = ("config", "endpoints", "weights", "keys", "redis", "certificate")


def main() -> None:
    """Run the gateway until it is told to stop."""
    arguments = _parser().parse_args()
    logging.basicConfig(
        level=os.environ.get(names.ENV_LOG_LEVEL, "INFO").upper(),
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
    )
    settings = Settings(
        host=arguments.host,
        port=arguments.port,
        tls=arguments.tls or arguments.certificate is not None,
        admin_port=arguments.admin_port,
        answer_seconds=arguments.answer_seconds,
        stall_seconds=arguments.stall_seconds,
        propagation_seconds=arguments.propagation_seconds,
        drain_seconds=arguments.drain_seconds,
        probe_port=arguments.probe_port,
    )
    uvloop.run(_run(settings, _source(arguments)))


async def _run(settings: Settings, source: Source) -> None:
    await Gateway(settings, source).run()


def _source(arguments: argparse.Namespace) -> Source:
    if arguments.config is not None:
        given = {name: getattr(arguments, name) for name in _FILES}
        return partial(follow_files, **given)
    missing = [name for name in (names.ENV_NAMESPACE, names.ENV_DEPLOYMENT) if not os.environ.get(name)]
    if missing:
        sys.exit(f"set {' and '.join(missing)}, or give --config and --endpoints")
    # The Kubernetes client is large; a run with files does without it.
    from autoglm_gateway.cluster import follow_cluster  # noqa: PLC0415

    deployment = os.environ[names.ENV_DEPLOYMENT]
    return partial(
        follow_cluster,
        namespace=os.environ[names.ENV_NAMESPACE],
        deployment=deployment,
        config_map=os.environ.get(names.ENV_CONFIG_MAP) or names.gateway_name(deployment),
    )


def _parser() -> argparse.ArgumentParser:
    settings = Settings()
    parser = argparse.ArgumentParser(prog="autoglm_gateway", description=__doc__)
    parser.add_argument("--config", type=Path, help="a gateway.json instead of the ConfigMap")
    parser.add_argument("--endpoints", default="", help="with --config: a file, or host:port=pool,...")
    parser.add_argument("--weights", type=Path, help="with --config: routing weights instead of the ConfigMap's")
    parser.add_argument("--keys", type=Path, help="with --config: a directory instead of the Secret with API keys")
    parser.add_argument("--redis", type=Path, help="with --config: a file instead of the Secret with Redis' URL")
    parser.add_argument("--certificate", type=Path, help="with --config: a directory instead of the Secret for TLS")
    parser.add_argument("--tls", action="store_true", help="answer over TLS only, on another port than usual")
    parser.add_argument("--host", default=settings.host)
    parser.add_argument("--port", type=int, default=settings.port, help="0 takes a free one and logs it")
    parser.add_argument("--admin-port", type=int, default=settings.admin_port)
    parser.add_argument("--probe-port", type=int, help="answer /healthz and /readyz there too, in a thread; 0: any")
    parser.add_argument("--answer-seconds", type=float, default=settings.answer_seconds)
    parser.add_argument("--stall-seconds", type=float, default=settings.stall_seconds)
    parser.add_argument("--propagation-seconds", type=float, default=settings.propagation_seconds)
    parser.add_argument("--drain-seconds", type=float, default=settings.drain_seconds)
    return parser


if __name__ == "__main__":
    main()
