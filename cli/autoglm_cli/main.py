"""`kubectl autoglm`: looks at deployments; changes nothing."""

from typing import Annotated, Any

import typer
from kubernetes import client, config
from kubernetes.client.exceptions import ApiException
from rich.console import Console

from autoglm_api import names
from autoglm_api.status import Status
from autoglm_cli import route
from autoglm_cli.explain import explanation
from autoglm_cli.simulate import simulate

app = typer.Typer(no_args_is_help=True, add_completion=False, help="Look at AutoGLM deployments.")
app.add_typer(route.app, name="route")
app.command()(simulate)
_console = Console()
_errors = Console(stderr=True)

Namespace = Annotated[str, typer.Option("--namespace", "-n", help="Namespace of the deployment.")]


@app.callback()
def _root() -> None:
    """Keep `explain` a sub-command while it is the only one."""


@app.command()
def explain(
    name: Annotated[str, typer.Argument(help="Name of the deployment.")], namespace: Namespace = "default"
) -> None:
    """Tell what a deployment is doing and why: readiness, pools, last scaling decisions."""
    body = _stored(namespace, name)
    for line in explanation(name, Status.model_validate(body.get("status") or {})):
        _console.print(line, markup=False, highlight=False, soft_wrap=True)


def _stored(namespace: str, name: str) -> dict[str, Any]:
    """Read the deployment from the cluster of the current kubeconfig context; a failure ends with a sentence."""
    try:
        config.load_kube_config()
        found = client.CustomObjectsApi().get_namespaced_custom_object(
            names.GROUP, names.VERSION, namespace, names.PLURAL, name
        )
    except config.ConfigException as error:
        raise _failure(f"no usable kubeconfig: {error}") from error
    except ApiException as error:
        raise _failure(_sentence(error, namespace, name)) from error
    return dict(found)


def _sentence(error: ApiException, namespace: str, name: str) -> str:
    if error.status == 404:  # noqa: PLR2004 - the HTTP status is its own name
        return f"no {names.KIND} {name} in namespace {namespace}; `kubectl get {names.SHORT_NAME} -A` lists them"
    return f"the API server refused: {error.status} {error.reason}"


def _failure(sentence: str) -> typer.Exit:
    _errors.print(sentence, markup=False, highlight=False, soft_wrap=True)
    return typer.Exit(1)
