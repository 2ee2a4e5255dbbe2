"""`kubectl autoglm`: looks at deployments and tries policies; changes nothing."""

import typer

from autoglm_cli import route
from autoglm_cli.explain_command import explain
from autoglm_cli.simulate import simulate

app = typer.Typer(no_args_is_help=True, add_completion=False, help="Look at AutoGLM deployments.")
app.command()(explain)
app.command()(simulate)
app.add_typer(route.app, name="route")
