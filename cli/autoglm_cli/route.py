"""`autoglm route`: train routing weights from labelled outcomes, and measure how good a routing is."""

import json
from enum import StrEnum
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.console import Console
from rich.table import Table

from autoglm_cli.outcomes import Outcome, OutcomesError, read_outcomes
from autoglm_gateway.features import Asked, see
from autoglm_gateway.score import Scorer
from autoglm_gateway.weights import DEFAULT, BrokenWeightsError, Weights, parse_weights

app = typer.Typer(no_args_is_help=True, help="Routing by complexity: train weights, measure them.")
_console = Console()
_errors = Console(stderr=True)
_DRAWS: Final = 400


class Output(StrEnum):
    """How figures are printed."""

    TABLE = "table"
    JSON = "json"


_File = Annotated[
    Path,
    typer.Argument(
        help="JSON lines, plain or gzip: id, domain, question, weak_correct, strong_correct, contaminated.",
        exists=True,
        dir_okay=False,
    ),
]
_Contaminated = Annotated[
    bool, typer.Option("--include-contaminated", help="Also use rows that are marked as contaminated.")
]
_Output = Annotated[Output, typer.Option("--output", "-o", help="How figures are printed.")]


@app.command("eval")
def evaluate(
    file: _File,
    weights: Annotated[
        Path | None, typer.Option("--weights", "-w", help="Weights to measure; otherwise the shipped ones.")
    ] = None,
    *,
    include_contaminated: _Contaminated = False,
    output: _Output = Output.TABLE,
) -> None:
    """Measure weights on labelled outcomes, beside prompt length and chance.

    Rows that the weights were trained on flatter them: give rows that were kept apart.
    """
    outcomes, left_out = _outcomes(file, include_contaminated=include_contaminated)
    chosen = DEFAULT if weights is None else _weights(weights)
    figures = _measured(outcomes, chosen)
    figures |= {
        "weights": "default" if weights is None else str(weights),
        "rows": len(outcomes),
        "contaminated_rows_left_out": left_out,
    }
    _print(figures, {"this": figures, **figures["baselines"]}, output)


@app.command()
def train(
    file: _File,
    out: Annotated[Path, typer.Option("--out", help="Where the weights go (JSON, numbers only).")],
    *,
    complex_share: Annotated[
        int, typer.Option(min=1, max=99, help="Percent of such queries that shall score 50 or more.")
    ] = 30,
    include_contaminated: _Contaminated = False,
    output: _Output = Output.TABLE,
) -> None:
    """Train weights on labelled outcomes; the printed quality is of rows, and of domains, that were kept apart."""
    _need_extra()
    from autoglm_cli import training  # noqa: PLC0415 - large libraries that only this command needs

    outcomes, left_out = _outcomes(file, include_contaminated=include_contaminated)
    try:
        learned = training.train(outcomes, complex_share / 100)
    except training.TooFewLabelsError as error:
        raise _failure(str(error)) from error
    text = json.dumps(learned.model_dump(), separators=(",", ":")) + "\n"
    try:
        out.write_text(text)
    except OSError as error:
        raise _failure(f"{out} cannot be written: {error}") from error
    figures = {"rows": len(outcomes), "contaminated_rows_left_out": left_out, "bytes": len(text)}
    held_out = _held_out(outcomes)
    _print(figures | {"held_out": held_out}, held_out, output)


@app.command()
def score(
    text: Annotated[str, typer.Argument(help="A question, as a user would send it.")],
    weights: Annotated[
        Path | None, typer.Option("--weights", "-w", help="Weights; otherwise the shipped ones.")
    ] = None,
) -> None:
    """Show the score of one question and what it comes from."""
    chosen = DEFAULT if weights is None else _weights(weights)
    asked = Asked(text, len(text))
    _console.print(f"score {Scorer(chosen).score(asked):.1f} of 100; 50 is the boundary", highlight=False)
    table = Table("feature", "value", "weight")
    for name, value in see(asked).features._asdict().items():
        table.add_row(name, f"{value:.3f}", f"{chosen.features.get(name, 0.0):g}")
    _console.print(table)


def _measured(outcomes: list[Outcome], weights: Weights) -> dict[str, Any]:
    _need_extra()
    import numpy as np  # noqa: PLC0415 - the other commands do without

    from autoglm_cli import quality  # noqa: PLC0415
    from autoglm_cli.training import asked_by  # noqa: PLC0415

    scorer = Scorer(weights)
    scores = np.array([scorer.score(asked_by(outcome)) for outcome in outcomes])
    labels, length = _labels(outcomes), _lengths(outcomes)
    try:
        found = _rounded(quality.quality(scores, labels))
        found["apgr_interval"] = _pair(quality.interval(scores, labels, draws=_DRAWS))
        found["apgr_over_length_interval"] = _pair(quality.difference(scores, length, labels, draws=_DRAWS))
        found["baselines"] = _baselines(outcomes)
    except quality.NoGapError as error:
        raise _failure(str(error)) from error
    return found | {
        "weak_accuracy": round(float(labels.weak.mean()), 4),
        "strong_accuracy": round(float(labels.strong.mean()), 4),
    }


def _held_out(outcomes: list[Outcome]) -> dict[str, Any]:
    """Return the quality on rows and domains that training did not see; a split that cannot be made is left out."""
    from autoglm_cli import quality, training  # noqa: PLC0415

    found: dict[str, Any] = {}
    for name, by_domain in (("same_domains", False), ("other_domains", True)):
        try:
            scores = training.held_out_scores(outcomes, by_domain=by_domain)
            found[name] = _rounded(quality.quality(scores, _labels(outcomes)))
        except (training.TooFewLabelsError, quality.NoGapError) as error:
            _errors.print(f"no figure for {name}: {error}", markup=False, soft_wrap=True)
    return found | (_baselines(outcomes) if found else {})


def _baselines(outcomes: list[Outcome]) -> dict[str, Any]:
    from autoglm_cli import quality  # noqa: PLC0415

    labels = _labels(outcomes)
    return {
        "length": _rounded(quality.quality(_lengths(outcomes), labels)),
        "random": _rounded(quality.of_random(labels)),
    }


def _labels(outcomes: list[Outcome]) -> Any:
    import numpy as np  # noqa: PLC0415

    from autoglm_cli import quality  # noqa: PLC0415

    weak = np.array([outcome.weak_correct for outcome in outcomes])
    return quality.Labels(weak, np.array([outcome.strong_correct for outcome in outcomes]))


def _lengths(outcomes: list[Outcome]) -> Any:
    import numpy as np  # noqa: PLC0415

    return np.array([float(len(outcome.question)) for outcome in outcomes])


def _rounded(found: Any) -> dict[str, Any]:
    return {"apgr": round(found.apgr, 4), "cpt50": round(found.cpt50, 2), "cpt80": round(found.cpt80, 2)}


def _pair(interval: tuple[float, float]) -> list[float]:
    return [round(value, 4) for value in interval]


def _print(figures: dict[str, Any], rankings: dict[str, Any], output: Output) -> None:
    if output is Output.JSON:
        typer.echo(json.dumps(figures, indent=2))
        return
    table = Table("ranking", "APGR", "CPT50 %", "CPT80 %")
    for name, measures in rankings.items():
        table.add_row(name, f"{measures['apgr']:.3f}", f"{measures['cpt50']:.1f}", f"{measures['cpt80']:.1f}")
    _console.print(table)
    for name, value in figures.items():
        if not isinstance(value, dict) and name not in {"apgr", "cpt50", "cpt80"}:
            _console.print(f"{name.replace('_', ' ')}: {value}", markup=False, highlight=False, soft_wrap=True)


def _outcomes(file: Path, *, include_contaminated: bool) -> tuple[list[Outcome], int]:
    """Return the rows to use, and how many contaminated ones were left out."""
    try:
        every = read_outcomes(file)
    except OutcomesError as error:
        raise _failure(str(error)) from error
    used = [outcome for outcome in every if include_contaminated or not outcome.contaminated]
    if not used:
        raise _failure(f"{file} has no row to use")
    return used, len(every) - len(used)


def _weights(path: Path) -> Weights:
    try:
        return parse_weights(path.read_bytes())
    except (OSError, BrokenWeightsError) as error:
        raise _failure(f"{path} holds no weights: {error}") from error


def _need_extra() -> None:
    if find_spec("sklearn") is None:
        raise _failure('this needs more libraries: pip install "autoglm-operator[cli,train]"')


def _failure(sentence: str) -> typer.Exit:
    _errors.print(sentence, markup=False, highlight=False, soft_wrap=True)
    return typer.Exit(1)
