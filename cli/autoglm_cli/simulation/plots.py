"""Pictures of a study: what happened second by second, and cost against objective."""

import io
from collections.abc import Callable, Iterator
from typing import Final

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas

from autoglm_cli.simulation.study import Answer, Study
from autoglm_operator.simulate.measures import oracle_sizes
from autoglm_operator.simulate.replay import Result
from autoglm_operator.simulate.traces import Floats

_POINTS: Final = 1500
"""Most points of a curve; more cannot be seen."""
_STYLE: Final = {
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.xmargin": 0.0,
    "grid.color": "#e8eaed",
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "axes.titleweight": "bold",
    "legend.frameon": False,
    "legend.fontsize": 8,
}
_BLUE, _ORANGE, _GREY, _RED = "#1f77b4", "#d9682b", "#8a8f98", "#b5486b"


def pictures(study: Study) -> Iterator[tuple[str, bytes]]:
    """Yield a file name and a PNG for every case (its first seed), and the Pareto plot when there are several."""
    for answer in study.answers:
        yield f"{_name(answer)}.png", case_png(answer)
    if len(study.answers) > 1:
        yield "pareto.png", pareto_png(study)


def case_png(answer: Answer) -> bytes:
    """Draw load, replicas, waits and queue of a case over time."""
    result = answer.outcomes[0].result
    panels: tuple[Callable[[Axes, Result, int], None], ...] = (_load, _replicas, _waits, _queue)

    def draw(canvas: Canvas) -> None:
        step = max(1, len(result.asked) // _POINTS)
        axes = canvas.subplots(len(panels), 1, sharex=True)
        for axis, panel in zip(axes, panels, strict=True):
            panel(axis, result, step)
            axis.set_ylim(bottom=0)
            axis.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))
        axes[-1].set_xlabel("hours since the start of the trace")

    return _png(draw, (10, 8))


def pareto_png(study: Study) -> bytes:
    """Draw cost against SLO attainment, one dot per result; full dots are on the front."""

    def draw(canvas: Canvas) -> None:
        axis = canvas.subplots()
        for answer in study.answers:
            at = answer.figures["costVsOracle"] or 0.0, answer.slo.value
            is_best = answer.case in study.best or not study.best
            axis.plot(*at, "o", color=_BLUE, fillstyle="full" if is_best else "none")
            axis.annotate(_label(answer), at, textcoords="offset points", xytext=(5, 4), fontsize=8)
        axis.margins(0.15)
        axis.set_xlabel("cost, in multiples of a clairvoyant oracle")
        axis.set_ylabel("SLO attainment, %")
        axis.set_title("Cost and objective")

    return _png(draw, (8, 5))


def _load(axis: Axes, result: Result, step: int) -> None:
    axis.plot(_hours(result, step), _thin(result.offered, step), color=_BLUE, label="offered")
    capacity = result.ready * result.capacity_tokens
    axis.plot(_hours(result, step), _thin(capacity, step), color=_GREY, label="capacity ready")
    axis.set_title("Load (tokens per second)")


def _replicas(axis: Axes, result: Result, step: int) -> None:
    hours = _hours(result, step)
    oracle = oracle_sizes(result.offered, result.capacity_tokens)
    for values, colour, label in (
        (oracle, _GREY, "oracle"),
        (result.held, _ORANGE, "held (with starting)"),
        (result.ready, _BLUE, "ready"),
    ):
        axis.step(hours, _thin(values, step), where="post", color=colour, label=label, linewidth=1)
    axis.set_title("Replicas")


def _waits(axis: Axes, result: Result, step: int) -> None:
    axis.plot(_hours(result, step), _thin(result.waits, step, np.maximum), color=_BLUE, label="longest wait")
    axis.axhline(result.slo_wait_seconds, color=_RED, linewidth=0.8, label="objective")
    axis.set_title("Wait in the queue (seconds)")


def _queue(axis: Axes, result: Result, step: int) -> None:
    axis.plot(_hours(result, step), _thin(result.queued_tokens, step, np.maximum), color=_ORANGE, label="queued")
    axis.set_title("Queue (tokens)")


def _hours(result: Result, step: int) -> Floats:
    return np.arange(0, len(result.asked), step) / 3600.0


def _thin(values: Floats, step: int, join: np.ufunc = np.add) -> Floats:
    """Return one value per `step`: the mean, or what `join` (a maximum) makes of them."""
    starts = np.arange(0, len(values), step)
    joined = join.reduceat(values, starts)
    counts = np.diff(np.append(starts, len(values))) if join is np.add else 1.0
    return np.asarray(joined / counts, dtype=np.float64)


def _name(answer: Answer) -> str:
    parts = (answer.case.pool, answer.case.policy, answer.case.value)
    return "-".join(part.replace("/", "_") for part in parts if part)


def _label(answer: Answer) -> str:
    return " ".join(part for part in (answer.case.policy, answer.case.value) if part)


def _png(draw: Callable[[Canvas], None], size: tuple[float, float]) -> bytes:
    with mpl.rc_context(_STYLE):  # type: ignore[arg-type, unused-ignore]
        canvas = Canvas(figsize=size, layout="constrained")
        draw(canvas)
        target = io.BytesIO()
        canvas.savefig(target, format="png", dpi=110)
    return target.getvalue()
