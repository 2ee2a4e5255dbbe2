"""`autoglm explain`: reads a deployment and its journal from the cluster; changes nothing."""

import json
import sys
from enum import StrEnum
from typing import Annotated, Any

import typer
from kubernetes import client, config
from kubernetes.client.exceptions import ApiException
from pydantic import ValidationError
from rich.console import Console
from rich.text import Text
from urllib3.exceptions import HTTPError

from autoglm_api import names
from autoglm_api.journal import JournalEntry, journal_of
from autoglm_api.status import Status
from autoglm_cli.explain import Told, explanation, explanation_json

_WIDE = 200
_NOT_FOUND = 404
_errors = Console(stderr=True)


class Output(StrEnum):
    """How a command answers."""

    TABLE = "table"
    JSON = "json"


Namespace = Annotated[str, typer.Option("--namespace", "-n", help="Namespace of the deployment.")]


def explain(
    name: Annotated[str, typer.Argument(help="Name of the deployment.")],
    namespace: Namespace = "default",
    output: Annotated[Output, typer.Option("--output", "-o", help="How to answer.")] = Output.TABLE,
    last: Annotated[int, typer.Option(min=0, max=50, help="How many decisions of the past to show.")] = 10,
) -> None:
    """Tell what a deployment is doing and why: readiness, pools, what each signal said, the last decisions."""
    told = _told(namespace, name)
    if output is Output.JSON:
        sys.stdout.write(json.dumps(explanation_json(told, last), indent=2) + "\n")
        return
    console = _console()
    for part in explanation(told, last):
        console.print(part, markup=False, highlight=False, soft_wrap=isinstance(part, Text))


def _console() -> Console:
    """Return the terminal; a pipe or a file has room for whole sentences."""
    return Console() if sys.stdout.isatty() else Console(width=_WIDE)


def _told(namespace: str, name: str) -> Told:
    try:
        config.load_kube_config()
    except config.ConfigException as error:
        raise _failure(f"no usable kubeconfig: {error}") from error
    body = _stored(namespace, name)
    try:
        status = Status.model_validate(body.get("status") or {})
    except ValidationError as error:
        raise _failure(f"the status was written by another version than this command's: {error}") from error
    return Told(namespace, name, status, _journal(namespace, name))


def _stored(namespace: str, name: str) -> dict[str, Any]:
    try:
        found = client.CustomObjectsApi().get_namespaced_custom_object(
            names.GROUP, names.VERSION, namespace, names.PLURAL, name
        )
    except ApiException as error:
        raise _failure(_sentence(error, namespace, name)) from error
    except HTTPError as error:
        raise _failure(f"the API server cannot be reached: {error}") from error
    return dict(found)


def _journal(namespace: str, name: str) -> tuple[JournalEntry, ...]:
    """Return the decisions that the operator keeps; without them the status still tells the last one."""
    try:
        found = client.CoreV1Api().read_namespaced_config_map(names.scaling_state_name(name), namespace)
    except ApiException as error:
        if error.status != _NOT_FOUND:
            _tell(f"only the last decisions are shown, the journal cannot be read: {error.status} {error.reason}")
        return ()
    return journal_of((found.data or {}).get(names.SCALING_JOURNAL_KEY, ""))


def _sentence(error: ApiException, namespace: str, name: str) -> str:
    if error.status == _NOT_FOUND:
        return f"no {names.KIND} {name} in namespace {namespace}; `kubectl get {names.SHORT_NAME} -A` lists them"
    return f"the API server refused: {error.status} {error.reason}"


def _failure(sentence: str) -> typer.Exit:
    _tell(sentence)
    return typer.Exit(1)


def _tell(sentence: str) -> None:
    _errors.print(sentence, markup=False, highlight=False, soft_wrap=True)
