"""What can go wrong with an upstream, told apart by what the caller may still do about it."""


class UpstreamError(Exception):
    """An upstream did not answer as it should."""


class ConnectFailedError(UpstreamError):
    """No connection: nothing was sent, so the request can go anywhere else."""


class NoAnswerError(UpstreamError):
    """The connection broke, or time ran out, after sending and before the first byte of an answer."""


class FirstByteTimeoutError(NoAnswerError):
    """The upstream stayed silent for too long after the request was sent."""


class BrokenAnswerError(UpstreamError):
    """The answer began and did not end: what has come is not all of it."""
