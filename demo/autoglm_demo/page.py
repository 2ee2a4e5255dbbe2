"""The HTML report: one file that needs nothing else."""

from base64 import b64encode
from collections.abc import Callable
from importlib.resources import files

from jinja2 import Environment, StrictUndefined

from autoglm_demo.figures import DemoFigures, PhaseFigures

Draw = Callable[[PhaseFigures], bytes | None]


def page(figures: DemoFigures, draw: Draw) -> str:
    """Return the report as HTML; `draw` makes the SVG of a phase."""
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters["seconds"] = duration
    template = environment.from_string(files(__package__ or "").joinpath("page.html.j2").read_text("utf-8"))
    pictures = {phase.name: _data_url(draw(phase)) for phase in figures.phases}
    return template.render(run=figures, pictures=pictures)


def duration(seconds: float) -> str:
    """Seconds as people read them: `850 ms`, `1.2 s`, `75 s`, `5 min 12 s`."""
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 10:  # noqa: PLR2004
        return f"{seconds:.1f} s"
    if seconds < 120:  # noqa: PLR2004
        return f"{seconds:.0f} s"
    return f"{seconds // 60:.0f} min {seconds % 60:.0f} s"


def _data_url(svg: bytes | None) -> str | None:
    return None if svg is None else "data:image/svg+xml;base64," + b64encode(svg).decode()
