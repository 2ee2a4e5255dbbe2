"""`autoglm key`: makes API keys. The key is shown once; only its hash is stored."""

import base64
import json
import sys
from typing import Annotated, Any

import typer
from pydantic import ValidationError
from rich.console import Console

from autoglm_api.keys import Principal, Tier, hash_of, new_key

app = typer.Typer(no_args_is_help=True, help="API keys of a gateway.")
_errors = Console(stderr=True)


@app.callback()
def _group() -> None:
    """API keys of a gateway."""


@app.command("new")
def new(
    name: Annotated[str, typer.Argument(help="Name of the caller: the entry in the Secret.")],
    tenant: Annotated[str, typer.Option("--tenant", "-t", help="Whose queries share cache, fair share and quota.")],
    stored_in: Annotated[
        str, typer.Option("--secret", "-s", help="Name of the Secret; give it to `kubectl apply`.")
    ] = "autoglm-keys",
    namespace: Annotated[str, typer.Option("--namespace", "-n", help="Namespace of the Secret.")] = "default",
    *,
    model: Annotated[
        list[str] | None, typer.Option("--model", help="A model that may be asked for; default all.")
    ] = None,
    highest_tier: Annotated[Tier, typer.Option(help="The most urgent tier that may be asked for.")] = Tier.NORMAL,
    queries_per_minute: Annotated[int | None, typer.Option(help="Rate limit.")] = None,
    tokens_per_minute: Annotated[int | None, typer.Option(help="Limit of prompt and answer tokens.")] = None,
    concurrency: Annotated[int | None, typer.Option(help="Queries at once, waiting ones too.")] = None,
    may_choose_class: Annotated[
        bool, typer.Option("--may-choose-class", help="Let the class header and names of pools' models count.")
    ] = False,
) -> None:
    """Make a key: the key goes to stderr, the Secret's entry as a manifest to stdout.

    `autoglm key new web -t shop | kubectl apply --server-side --field-manager web -f -` adds one entry and leaves
    the others alone.
    """
    key = new_key()
    fields: dict[str, Any] = {
        "hashes": [hash_of(key)],
        "tenant": tenant,
        "models": model or None,
        "highest_tier": highest_tier,
        "may_choose_class": may_choose_class,
        "queries_per_minute": queries_per_minute,
        "tokens_per_minute": tokens_per_minute,
        "concurrency": concurrency,
    }
    sys.stdout.write(_manifest(stored_in, namespace, name, _principal(fields)))
    _errors.print(f"key of {name}, shown only now: {key}", markup=False, highlight=False, soft_wrap=True)


def _principal(fields: dict[str, Any]) -> Principal:
    try:
        return Principal.model_validate(fields)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        _errors.print(f"{place}: {first['msg']}", markup=False, highlight=False)
        raise typer.Exit(2) from None


def _manifest(stored_in: str, namespace: str, name: str, principal: Principal) -> str:
    # `data`, because server-side apply does not know who owns what of `stringData`.
    entry = base64.b64encode(json.dumps(principal.to_json(), sort_keys=True).encode()).decode()
    manifest = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": stored_in, "namespace": namespace},
        "type": "Opaque",
        "data": {name: entry},
    }
    return json.dumps(manifest, indent=2) + "\n"
