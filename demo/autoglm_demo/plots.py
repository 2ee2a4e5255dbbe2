"""One picture per phase: load, replicas, latency and routing over the same time axis, as SVG."""

import io
from collections.abc import Callable

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas

from autoglm_demo.figures import PhaseFigures, Series
from autoglm_demo.samples import pool_names

COLOURS = ("#1f77b4", "#d9682b", "#2f8f5b", "#7a5ba6", "#8c6d31", "#b5486b")
GREY = "#8a8f98"
STYLE = {
    "svg.hashsalt": "autoglm",
    "svg.fonttype": "none",
    "font.size": 9,
    "font.family": "sans-serif",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.xmargin": 0.0,
    "axes.edgecolor": "#c4c8ce",
    "grid.color": "#e8eaed",
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "axes.titleweight": "bold",
    "legend.frameon": False,
    "legend.fontsize": 8,
}
Panel = Callable[[Axes, PhaseFigures, Series], None]


def phase_svg(figures: PhaseFigures) -> bytes | None:
    """Draw a phase; None when nothing was sent in it."""
    if figures.series is None:
        return None
    panels: tuple[Panel, ...] = (
        (_load, _replicas, _latency, _routing) if figures.samples else (_load, _latency, _routing)
    )
    with mpl.rc_context(STYLE):  # type: ignore[arg-type, unused-ignore]
        canvas = Canvas(figsize=(9, 2.1 * len(panels)), layout="constrained")
        axes = canvas.subplots(len(panels), 1, sharex=True, squeeze=False)[:, 0]
        for axis, panel in zip(axes, panels, strict=True):
            panel(axis, figures, figures.series)
            axis.set_ylim(bottom=0)
            axis.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))
        axes[-1].set_xlabel("seconds since the phase began")
        target = io.BytesIO()
        canvas.savefig(target, format="svg", metadata={"Date": None})
    return target.getvalue()


def _load(axis: Axes, figures: PhaseFigures, series: Series) -> None:
    for number, (kind, rates) in enumerate(series.sent_per_second.items()):
        axis.plot(series.at, rates, color=_colour(number), label=f"{kind} sent")
    if figures.samples:
        at = [sample.at for sample in figures.samples]
        axis.plot(
            at,
            [sample.in_flight for sample in figures.samples],
            color=GREY,
            linewidth=0.9,
            label="open queries",
            zorder=1,
        )
    axis.set_title("Load (queries sent per second; open queries in grey)")


def _replicas(axis: Axes, figures: PhaseFigures, _: Series) -> None:
    at = [sample.at for sample in figures.samples]
    for number, pool in enumerate(sorted(pool_names(figures.samples))):
        colour = _colour(number)
        ready = [sample.ready(pool) for sample in figures.samples]
        desired = [sample.desired(pool) for sample in figures.samples]
        axis.step(at, ready, where="post", color=colour, label=f"{pool} ready")
        axis.step(at, desired, where="post", color=colour, linestyle=":", label=f"{pool} desired")
    if any(sample.nodes for sample in figures.samples):
        axis.step(at, [sample.nodes for sample in figures.samples], where="post", color=GREY, label="GPU nodes in use")
    axis.set_title("Replicas (simulated)" if figures.simulated else "Replicas")


def _latency(axis: Axes, _: PhaseFigures, series: Series) -> None:
    for number, pool in enumerate(series.p50_seconds):
        colour = _colour(number)
        axis.plot(series.at, _gaps(series.p50_seconds[pool]), color=colour, label=f"{pool} p50")
        axis.plot(series.at, _gaps(series.p95_seconds[pool]), color=colour, linestyle="--", label=f"{pool} p95")
    axis.set_title("Latency of whole answers (seconds)")


def _routing(axis: Axes, _: PhaseFigures, series: Series) -> None:
    pools = series.answered_per_second
    colours = [_colour(number) for number in range(len(pools))]
    axis.stackplot(series.at, list(pools.values()), labels=list(pools), colors=colours, alpha=0.8, step="mid")
    axis.set_title("Answers by pool (per second)")


def _gaps(values: list[float | None]) -> list[float]:
    return [float("nan") if value is None else value for value in values]


def _colour(number: int) -> str:
    return COLOURS[number % len(COLOURS)]
