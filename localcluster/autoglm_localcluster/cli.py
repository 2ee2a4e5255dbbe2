"""Command line: `up`, `down`, `status`, `images`, `native`, `env`, `doctor`."""

import shlex
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from autoglm_localcluster import builder, debian, host, images, layout, native, processes, provider, toolchain
from autoglm_localcluster.cluster import Cluster
from autoglm_localcluster.narrate import say
from autoglm_localcluster.paths import REPOSITORY, RunDir, run_root

app = typer.Typer(no_args_is_help=True, add_completion=False, help=__doc__, pretty_exceptions_enable=False)
_Name = Annotated[str, typer.Option(help="Name of the cluster; each name has its own run directory.")]
_out = Console(highlight=False)


@app.command()
def up(
    name: _Name = "demo",
    *,
    node: Annotated[bool, typer.Option(help="Run a real node (root on Linux).")] = True,
    fake_nodes: Annotated[int, typer.Option(min=0, max=1000, help="Number of fake GPU nodes.")] = 0,
) -> None:
    """Start the cluster, or bring the running one up to date."""
    cluster = provider.up(name, node=node, fake_nodes=fake_nodes)
    say(f"cluster [bold]{name}[/bold] is up: {cluster.server_url}")
    say(f'use it: eval "$(python -m autoglm_localcluster env --name {name})"')


@app.command()
def down(
    name: _Name = "demo",
    *,
    every: Annotated[bool, typer.Option("--all", help="All clusters of this machine's cache.")] = False,
) -> None:
    """Stop the cluster and leave nothing behind."""
    for each in _known_names() if every else [name]:
        provider.down(each)
        say(f"cluster [bold]{each}[/bold] is gone")


@app.command()
def status() -> None:
    """Show the clusters and their processes."""
    table = Table("cluster", "process", "pid")
    for name in _known_names():
        run = RunDir.named(name)
        for process in processes.names(run):
            found = processes.find(run, process)
            table.add_row(name, process, str(found.pid) if found else "[red]ended[/red]")
    _out.print(table)


@app.command(name="images")
def build_images(
    *,
    context_only: Annotated[bool, typer.Option(help="Write the build contexts to build/images and stop.")] = False,
    pytorch: Annotated[bool, typer.Option(help="Also the node with PyTorch: 3 GB of downloads.")] = False,
) -> None:
    """Build our container images without a Docker engine, where their inputs have changed."""
    more = [images.NODE_PYTORCH] if pytorch else []
    if context_only:
        images.write_contexts(REPOSITORY / "build" / "images", *more)
        return
    toolchain.ensure_system_packages(debian.IMAGE_PACKAGES)
    toolchain.announce(toolchain.IMAGE_TOOLS)
    toolchain.ensure(toolchain.IMAGE_TOOLS)
    for built in images.build_all(builder.Docker() if host.look().has_docker_engine else builder.buildah(), *more):
        _out.print(f"{built.tag}  {built.archive}")


@app.command(name="native")
def build_native() -> None:
    """Compile the gateway if it has changed, and print the directory for PYTHONPATH."""
    typer.echo(native.folder())


@app.command()
def env(name: _Name = "demo") -> None:
    """Print shell lines that put kubectl and helm on PATH and point them at the cluster."""
    cluster = Cluster.load(RunDir.named(name))
    if cluster is None:
        raise typer.BadParameter(f"no cluster {name!r}; known: {', '.join(_known_names()) or 'none'}")
    for variable, value in cluster.environment().items():
        typer.echo(f"export {variable}={shlex.quote(value)}")


@app.command()
def doctor() -> None:
    """Say what this machine can run, and what would be installed, built or downloaded first."""
    machine = host.look()
    _out.print(f"provider: {provider.choose(machine, {})} (force one with {provider.CHOICE_VARIABLE})")
    _out.print(f"real node: {'yes' if machine.can_run_node else machine.why_no_node()}")
    _out.print(f"cgroups: {'v2' if machine.has_cgroup_v2 else 'v1'}")
    _out.print(f"networks: {layout.SERVICE_RANGE}, {layout.POD_RANGE}, {layout.FLEET_RANGE}")
    for package in debian.missing([*debian.NODE_PACKAGES, *debian.IMAGE_PACKAGES]):
        _out.print(f"will install the Debian package {package.name}")
    for tool in toolchain.plan([*toolchain.CONTROL_PLANE_TOOLS, *toolchain.NODE_TOOLS, *toolchain.IMAGE_TOOLS]):
        _out.print(f"will get {tool.name} {tool.version}: {tool.cost}")


def _known_names() -> list[str]:
    return sorted(path.parent.name for path in run_root().glob("*/pids"))
