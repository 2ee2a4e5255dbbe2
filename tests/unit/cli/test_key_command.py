"""`autoglm key new`."""

import base64
import json

import pytest
from typer.testing import CliRunner

from autoglm_api.keys import KEY_PREFIX, Tier
from autoglm_cli.main import app
from autoglm_gateway.principals import key_ring


def test_the_printed_key_is_valid_with_the_printed_secret() -> None:
    options = ["--model", "shop", "--highest-tier", "Urgent", "--concurrency", "3", "-s", "keys", "-n", "shop"]
    result = CliRunner().invoke(app, ["key", "new", "web", "-t", "front", *options])
    assert result.exit_code == 0, result.output
    manifest = json.loads(result.stdout)
    assert (manifest["kind"], manifest["metadata"]) == ("Secret", {"name": "keys", "namespace": "shop"})
    key = result.stderr.strip().rsplit(" ", 1)[-1]
    assert key.startswith(KEY_PREFIX)
    assert key not in result.stdout
    ring = key_ring({name: base64.b64decode(text) for name, text in manifest["data"].items()})
    caller = ring.find(f"Bearer {key}")
    assert caller is not None
    assert (caller.name, caller.tenant, caller.highest_tier, caller.concurrency) == ("web", "front", Tier.URGENT, 3)
    assert (caller.models, caller.may_choose_class) == (frozenset({"shop"}), False)


@pytest.mark.parametrize("options", [["-t", ""], ["-t", "a b"], ["-t", "a", "--queries-per-minute", "0"]])
def test_what_no_gateway_would_accept_is_refused(options: list[str]) -> None:
    result = CliRunner().invoke(app, ["key", "new", "web", *options])
    assert (result.exit_code, result.stdout) == (2, "")
