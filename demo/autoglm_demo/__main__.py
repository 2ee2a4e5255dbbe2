"""`python -m autoglm_demo`: the whole product on a real cluster, with every claim checked."""

import asyncio
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from types import FrameType
from typing import Annotated

import typer
from kubernetes.aio.client import ApiException
from rich.console import Console

from autoglm_demo.ground import GroundError
from autoglm_demo.page import duration
from autoglm_demo.play import Play
from autoglm_demo.screen import Screen
from autoglm_demo.script import NODES
from autoglm_localcluster import provider
from autoglm_localcluster.cluster import Cluster, KubectlError
from autoglm_localcluster.local import BusyError
from autoglm_localcluster.paths import REPOSITORY

CLUSTER_NAME = "demo"
REPORT_FOLDER = REPOSITORY / "build" / "demo"
INTERRUPTED = 130
PLAIN_WIDTH = 130

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


class Provider(StrEnum):
    """Where the cluster comes from."""

    LOCAL = "local"
    KIND = "kind"
    EXISTING = "existing"


@app.command()
def main(
    *,
    keep: Annotated[bool, typer.Option("--keep", help="Leave the cluster running at the end.")] = False,
    skip_flash_sale: Annotated[bool, typer.Option("--skip-flash-sale", help="Real engines only.")] = False,
    cluster: Annotated[Provider | None, typer.Option(help="Instead of what suits this machine.")] = None,
) -> None:
    """Run the demo; the exit code is 0 only if everything it claims was so."""
    if cluster is not None:
        os.environ["AUTOGLM_CLUSTER"] = cluster
    screen = Screen(_console())
    play = Play.begin(screen, flash_sale=not skip_flash_sale)
    try:
        with _cluster(screen, keep=keep) as running:
            _perform(play, running)
    except BusyError as error:
        play.fail(str(error))
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    screen.say(f"{'everything held' if play.held else 'SOMETHING FAILED'}, {duration(play.seconds)} in all")
    sys.exit(0 if play.held else 1)


def _perform(play: Play, cluster: Cluster) -> None:
    if not cluster.has_node:
        play.fail("the demo runs real pods, which this machine cannot; with a Docker engine it uses kind")
        return
    try:
        asyncio.run(play.perform(cluster))
    except (GroundError, KubectlError, ApiException, OSError) as error:
        play.fail(str(error))
    except KeyboardInterrupt:
        play.fail("interrupted")
        raise
    finally:
        play.screen.say(f"report: {play.report(REPORT_FOLDER)}")


@contextmanager
def _cluster(screen: Screen, *, keep: bool) -> Iterator[Cluster]:
    """The demo's cluster; taken down at the end, also after Ctrl-C, unless it is to be kept."""
    signal.signal(signal.SIGTERM, _interrupt)
    screen.heading("Starting the cluster")
    try:
        yield provider.up(CLUSTER_NAME, node=True, fake_nodes=NODES)
    except BusyError:
        keep = True  # there is nothing of ours to take down
        raise
    finally:
        if keep:
            screen.say(f"the cluster, if any, stays: python -m autoglm_localcluster env --name {CLUSTER_NAME}")
        else:
            screen.heading("Taking the cluster down")
            provider.down(CLUSTER_NAME)


def _console() -> Console:
    console = Console()
    return console if console.is_terminal else Console(width=PLAIN_WIDTH)


def _interrupt(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    app()
