"""Small models for a plain Triton: what they compute does not matter, when and with whom does."""

from dataclasses import dataclass
from typing import Final

_HEAD: Final = "import time\nimport triton_python_backend_utils as pb_utils\n\n\nclass TritonPythonModel:\n"
_ECHO: Final = """
    def execute(self, requests):
        time.sleep({seconds})
        return [pb_utils.InferenceResponse([self.echo(request)]) for request in requests]

    def echo(self, request):
        return pb_utils.Tensor.from_dlpack("y", pb_utils.get_input_tensor_by_name(request, "x").to_dlpack())
"""
_STREAM: Final = """
    def execute(self, requests):
        for request in requests:
            sender = request.get_response_sender()
            for piece in range({pieces}):
                time.sleep({seconds})
                given = pb_utils.get_input_tensor_by_name(request, "x").to_dlpack()
                sender.send(pb_utils.InferenceResponse([pb_utils.Tensor.from_dlpack("y", given)]))
            sender.send(flags=pb_utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL)
"""
_INITIALIZE: Final = """
    def initialize(self, args):
        {statement}
"""


@dataclass(frozen=True, slots=True)
class Model:
    """One model of the repository."""

    name: str
    code: str
    options: str = ""
    max_batch_size: int = 0
    width: int = 1

    def config(self) -> str:
        """Return its config.pbtxt."""
        return (
            f'name: "{self.name}"\nbackend: "python"\nmax_batch_size: {self.max_batch_size}\n'
            f'input [{{ name: "x" data_type: TYPE_INT32 dims: [{self.width}] }}]\n'
            f'output [{{ name: "y" data_type: TYPE_INT32 dims: [{self.width}] }}]\n'
            f"instance_group [{{ count: 1 kind: KIND_CPU }}]\n{self.options}\n"
        )


def echo(name: str, seconds: float = 0.0, options: str = "", max_batch_size: int = 0, width: int = 1) -> Model:
    """Return a model that answers a batch after `seconds`."""
    return Model(name, _HEAD + _ECHO.format(seconds=seconds), options, max_batch_size, width)


def stream(name: str, pieces: int, seconds: float) -> Model:
    """Return a decoupled model that sends `pieces` answers, `seconds` apart."""
    code = _HEAD + _STREAM.format(pieces=pieces, seconds=seconds)
    return Model(name, code, "model_transaction_policy { decoupled: true }")


def slow_to_load(name: str, seconds: float) -> Model:
    """Return an echo that takes `seconds` to load."""
    statement = _INITIALIZE.format(statement=f"time.sleep({seconds})")
    return Model(name, _HEAD + statement + _ECHO.format(seconds=0))


def broken(name: str) -> Model:
    """Return a model that does not load."""
    return Model(name, _HEAD + _INITIALIZE.format(statement="raise RuntimeError('broken on purpose')"))
