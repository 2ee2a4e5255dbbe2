"""The trace of a simulation: a file or a generated one, and each pool's part of it."""

import gzip
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Final

import numpy as np

from autoglm_api.spec import QueryClass
from autoglm_cli.simulation.pools import SimulatedPool
from autoglm_cli.simulation.problem import Problem
from autoglm_operator.simulate.generated import generated
from autoglm_operator.simulate.trace_files import read_classes, read_trace
from autoglm_operator.simulate.traces import Trace, TraceError

GENERATED: Final = "generated:"
_GZIP: Final = b"\x1f\x8b"


@dataclass(frozen=True, slots=True)
class Arrivals:
    """Where the queries come from."""

    source: str
    """A path, or `generated:NAME`."""
    service: str = ""
    simple_share: float = 0.7
    """Share of the queries that are simple, where the trace does not say."""

    def trace(self, seed: int) -> Trace:
        """Return the whole trace; raises Problem. The seed matters for what is drawn by chance."""
        rng = np.random.default_rng(seed)
        try:
            if self.source.startswith(GENERATED):
                return generated(self.source.removeprefix(GENERATED), rng)
            return read_trace(Path(self.source).name, _lines(self.source), rng, service=self.service)
        except TraceError as error:
            raise Problem(str(error)) from error

    def tells_of(self, pool: SimulatedPool) -> bool:
        """Tell whether the trace has queries for a pool: texts to embed are part of one that has classes only."""
        return pool.serves is not QueryClass.EMBEDDING or bool(self._classes())

    def part_of(self, pool: SimulatedPool, seed: int) -> tuple[Trace, float]:
        """Return the trace that a pool sees a share of, and that share; raises Problem."""
        if pool.serves is None:
            return self.trace(seed), pool.share
        by_class = self._classes()
        if by_class:
            return self._of_class(by_class, pool.serves), pool.share
        simple = pool.serves is QueryClass.SIMPLE
        return self.trace(seed), pool.share * (self.simple_share if simple else 1 - self.simple_share)

    def _of_class(self, by_class: Mapping[str, Trace], serves: QueryClass) -> Trace:
        trace = by_class.get(serves.lower())
        if trace is None:
            raise Problem(f"{self.source} has no query of class {serves}; its classes are {', '.join(by_class)}")
        return trace

    def _classes(self) -> Mapping[str, Trace]:
        if self.source.startswith(GENERATED):
            return {}
        try:
            return read_classes(Path(self.source).name, _lines(self.source))
        except TraceError as error:
            raise Problem(str(error)) from error


@lru_cache(maxsize=1)
def _lines(source: str) -> list[str]:
    """Return the lines of a CSV file, unpacked if it is packed; raises Problem."""
    try:
        raw = Path(source).read_bytes()
        return (gzip.decompress(raw) if raw[:2] == _GZIP else raw).decode("utf-8-sig").splitlines()
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise Problem(f"trace {source} cannot be read: {error}") from error
