"""Which code the other tests of this folder ran: the sources, or what was compiled of them."""

import os
import subprocess
import sys

MODULES = ("autoglm_gateway.relay", "autoglm_gateway.queueing.line", "autoglm_transport.connection")


def test_the_way_of_a_query_is_compiled_where_it_should_be() -> None:
    ask = f"import importlib; print(*(importlib.import_module(name).__file__ for name in {MODULES}))"
    told = subprocess.run([sys.executable, "-c", ask], capture_output=True, text=True, check=True, timeout=60)
    suffix = ".so" if os.environ.get("AUTOGLM_COMPILED") == "1" else ".py"
    assert [file.endswith(suffix) for file in told.stdout.split()] == [True] * len(MODULES)
