"""Why a query is refused, and why the node gives up; every failure carries the sentence that a person reads."""

from autoglm_node.phases import Phase


class RefusalError(Exception):
    """A query that gets an error instead of an answer.

    `status` is the HTTP status, `code` the machine-readable reason (also the label of the counter of rejects),
    `param` the field of the body that is to blame, `headers` go on the answer.
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        code: str,
        param: str | None = None,
        headers: tuple[tuple[str, str], ...] = (),
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.code = code
        self.param = param
        self.headers = headers


class EngineError(Exception):
    """Triton or the engine inside it did not do what it was asked; the text is theirs."""


class FatalError(Exception):
    """The node cannot serve: the phase that failed, a reason in one CamelCase word, a sentence, an exit code."""

    def __init__(self, phase: Phase, reason: str, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.phase = phase
        self.reason = reason
        self.message = message
        self.exit_code = exit_code
