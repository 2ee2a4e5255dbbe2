"""`kubectl autoglm`: looks at deployments, tries policies, makes keys; changes nothing in the cluster."""

import typer

from autoglm_cli import key, route
from autoglm_cli.explain_command import explain
from autoglm_cli.replay import replay
from autoglm_cli.simulate import simulate

app = typer.Typer(no_args_is_help=True, add_completion=False, help="Look at AutoGLM deployments.")
app.command()(explain)
app.command()(simulate)
app.command()(replay)
app.add_typer(key.app, name="key")
app.add_typer(route.app, name="route")
