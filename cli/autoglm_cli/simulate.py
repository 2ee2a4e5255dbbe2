"""`autoglm simulate`: how a pool's scaling would have done under a trace. Needs no cluster."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from autoglm_cli.simulation.arrivals import Arrivals
from autoglm_cli.simulation.pools import Asked, SimulatedPool, pools_of
from autoglm_cli.simulation.problem import Problem
from autoglm_cli.simulation.report import as_csv, as_json, as_table, differences_in_words
from autoglm_cli.simulation.study import Question, Study, conducted
from autoglm_cli.simulation.sweep import parse_sweep
from autoglm_operator.simulate.experiment import Fidelity
from autoglm_operator.simulate.faults import FaultError, Faults, parse_fault
from autoglm_operator.simulate.policies import POLICIES

_console = Console()
_errors = Console(stderr=True)
_TABLE_WIDTH = 140
"""A table that is piped or in a narrow window keeps its figures whole."""


class Output(StrEnum):
    """How the figures are printed."""

    TABLE = "table"
    JSON = "json"
    CSV = "csv"


def simulate(
    trace: Annotated[str, typer.Argument(help="CSV file (.gz too), or generated:diurnal, ramp, bursts, flash-sale.")],
    *,
    file: Annotated[Path | None, typer.Option("--file", "-f", help="Manifest whose scaling is tried.")] = None,
    pool: Annotated[
        str | None, typer.Option(help="One pool, with the whole trace; default: all, each its part.")
    ] = None,
    policy: Annotated[list[str], typer.Option(help=f"Any of {', '.join(POLICIES)}; may be repeated.")] = ["ours"],  # noqa: B006
    fidelity: Annotated[Fidelity, typer.Option(help="fluid: fast at any load. request: every query.")] = Fidelity.FLUID,
    capacity_tokens: Annotated[float | None, typer.Option(help="Tokens/s of a replica.", min=0.001)] = None,
    startup_seconds: Annotated[float | None, typer.Option(help="Start of a replica.", min=0, max=86400)] = None,
    concurrency: Annotated[int | None, typer.Option(help="Queries a replica works on at once.", min=1)] = None,
    scrape_seconds: Annotated[int, typer.Option(help="Age of metrics at most.", min=1, max=3600)] = 15,
    tick_seconds: Annotated[float, typer.Option(help="Interval of decisions.", min=1, max=3600)] = 5.0,
    minimum: Annotated[int | None, typer.Option("--min", help="Smallest size.", min=0, max=100000)] = None,
    maximum: Annotated[int | None, typer.Option("--max", help="Largest size.", min=1, max=100000)] = None,
    initial: Annotated[int | None, typer.Option(help="Size at the start; default: what the load needs.", min=0)] = None,
    slo_wait_seconds: Annotated[float, typer.Option(help="Objective: longest wait in the queue.", min=0)] = 2.0,
    fault: Annotated[list[str], typer.Option(help="Such as outage@600+300 or profile:0.7; may be repeated.")] = [],  # noqa: B006
    multiply: Annotated[float, typer.Option(help="So many times the load, as bursty as it is.", min=1e-6)] = 1.0,
    superpose: Annotated[int, typer.Option(help="So many copies, shifted in time: less bursty.", min=1, max=1000)] = 1,
    simple_share: Annotated[float, typer.Option(help="Share of simple queries, for all pools.", min=0, max=1)] = 0.7,
    service: Annotated[str, typer.Option(help="Model of a rates file with several.")] = "",
    seed: Annotated[int, typer.Option(help="Seed of all chance.", min=0)] = 1,
    seeds: Annotated[int, typer.Option(help="Runs, with as many seeds.", min=1, max=100)] = 1,
    sweep: Annotated[str | None, typer.Option(help="NAME=V1,V2: an option or a field of scaling.")] = None,
    output: Annotated[Output, typer.Option(help="How to print.")] = Output.TABLE,
    out: Annotated[Path | None, typer.Option(help="Folder for pictures, page, JSON and CSV.")] = None,
) -> None:
    """Replay a trace against a scaling policy: objective, cost against a clairvoyant oracle, stability."""
    try:
        pools = pools_of(file, pool, Asked(capacity_tokens, startup_seconds, concurrency, minimum, maximum))
        question = Question(
            policies=tuple(dict.fromkeys(name for one in policy for name in one.split(","))),
            fidelity=fidelity,
            scrape_seconds=scrape_seconds,
            tick_seconds=tick_seconds,
            initial=initial,
            slo_wait_seconds=slo_wait_seconds,
            multiply=multiply,
            superpose=superpose,
            faults=_faults(fault),
            seed=seed,
            seeds=seeds,
            sweep=parse_sweep(sweep) if sweep else None,
        )
        arrivals = Arrivals(trace, service, simple_share)
        pools = _told_of(arrivals, pools)
        study = conducted(question, arrivals, pools)
        _tell(study, output, _settings(trace, question, pools), out)
    except Problem as problem:
        _errors.print(str(problem), markup=False, highlight=False, soft_wrap=True)
        raise typer.Exit(2) from problem


def _told_of(arrivals: Arrivals, pools: list[SimulatedPool]) -> list[SimulatedPool]:
    """Return the pools that the trace has queries for, and name the others."""
    known = [pool for pool in pools if arrivals.tells_of(pool)]
    left_out = ", ".join(pool.name for pool in pools if pool not in known)
    if not known:
        raise Problem(f"the trace has no class Embedding, which is all that is asked for; try --pool {left_out}")
    if left_out:
        _errors.print(f"left out: {left_out}, because the trace has no classes", markup=False, highlight=False)
    return known


def _faults(written: list[str]) -> Faults:
    try:
        return Faults.of(parse_fault(one) for one in written)
    except FaultError as error:
        raise Problem(str(error)) from error


def _settings(trace: str, question: Question, pools: list[SimulatedPool]) -> dict[str, Any]:
    """Return what the results depend on, for the reports."""
    service = pools[0].service
    return {
        "trace": Path(trace).name,
        "fidelity": str(question.fidelity),
        "capacityTokens": service.capacity_tokens,
        "startupSeconds": service.startup_seconds,
        "concurrency": service.concurrency,
        "scrapeSeconds": question.scrape_seconds,
        "tickSeconds": question.tick_seconds,
        "sloWaitSeconds": question.slo_wait_seconds,
        "multiply": question.multiply,
        "superpose": question.superpose,
        "seed": question.seed,
        "seeds": question.seeds,
        "faults": [one.words for one in question.faults.all],
        "sweep": question.sweep.name if question.sweep else None,
    }


def _tell(study: Study, output: Output, settings: dict[str, Any], out: Path | None) -> None:
    if out is not None:
        _write(study, settings, out)
    match output:
        case Output.JSON:
            typer.echo(as_json(study, settings))
        case Output.CSV:
            typer.echo(as_csv(study), nl=False)
        case Output.TABLE:
            Console(width=max(_console.width, _TABLE_WIDTH)).print(as_table(study))
            for sentence in differences_in_words(study):
                _console.print(sentence, markup=False, highlight=False, soft_wrap=True)


def _write(study: Study, settings: dict[str, Any], out: Path) -> None:
    # matplotlib takes a second to import: only those who want pictures wait for it
    from autoglm_cli.simulation.page import page  # noqa: PLC0415
    from autoglm_cli.simulation.plots import pictures  # noqa: PLC0415

    drawn = list(pictures(study))
    try:
        out.mkdir(parents=True, exist_ok=True)
        for name, png in drawn:
            (out / name).write_bytes(png)
        (out / "report.html").write_text(page(f"Simulation of {settings['trace']}", settings, study, drawn), "utf-8")
        (out / "results.json").write_text(as_json(study, settings) + "\n", "utf-8")
        (out / "results.csv").write_text(as_csv(study), "utf-8")
    except OSError as error:
        raise Problem(f"{out} cannot be written: {error}") from error
    _errors.print(f"report: {out / 'report.html'}", markup=False, highlight=False, soft_wrap=True)
