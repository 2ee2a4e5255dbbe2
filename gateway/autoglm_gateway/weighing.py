"""Which routing weights are in use: the named ones when they can be read, otherwise the last good ones."""

import logging
from collections.abc import Callable

from autoglm_gateway.route import Router
from autoglm_gateway.weights import DEFAULT, BrokenWeightsError, Weights, parse_weights

log = logging.getLogger(__name__)


class Weighing:
    """Hands weights to a router; `broken(value)` is told whether the named ones cannot be used."""

    def __init__(self, router: Router, broken: Callable[[bool], None]) -> None:
        self._router = router
        self._broken = broken
        self._last: tuple[str, str | None] | None = None

    def use_default(self) -> None:
        """Score with the shipped weights: the resource names no others."""
        self._last = None
        self._router.weigh(DEFAULT)
        self._broken(False)

    def use(self, where: str, text: str | None) -> None:
        """Score with the weights in this text, of `where`; None: there is none. What is broken changes nothing."""
        if self._last == (where, text):
            return
        self._last = (where, text)
        try:
            self._router.weigh(_parsed(text))
        except BrokenWeightsError as error:
            log.error("routing weights in %s are not used, the last good ones stay: %s", where, error)  # noqa: TRY400
            self._broken(True)
        else:
            log.info("routing weights of %s are in use", where)
            self._broken(False)


def _parsed(text: str | None) -> Weights:
    if text is None:
        raise BrokenWeightsError("there are none")
    return parse_weights(text)
