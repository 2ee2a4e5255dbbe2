"""A text encoder as an ONNX Runtime session."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from autoglm_api.spec import Backend
from autoglm_node import artifact
from autoglm_node.engine.ort_model import session_for

GRAPH: Final = "model.onnx"
Vectors = npt.NDArray[np.float32]


class Encoder:
    """Turns tokens into vectors."""

    def __init__(self, path: Path, threads: int) -> None:
        """Load a graph with inputs `input_ids` [batch, time] and `lengths` [batch], output `embedding`."""
        self._session = session_for(path, threads)
        self.dimensions = int(self._session.get_outputs()[0].shape[1])

    def encode(self, texts: Sequence[Sequence[int]]) -> Vectors:
        """Return the vectors [texts, dimensions] of one forward pass over padded tokens."""
        lengths = np.array([len(text) for text in texts], dtype=np.int32)
        ids = np.zeros((len(texts), int(lengths.max())), dtype=np.int64)
        for row, text in enumerate(texts):
            ids[row, : len(text)] = text
        vectors: Vectors = self._session.run(None, {"input_ids": ids, "lengths": lengths})[0]
        return vectors


def load(directory: Path, threads: int) -> Encoder:
    """Check and load a model directory.

    Raises:
        ArtifactError: a file is missing or differs from the manifest.
    """
    artifact.check_encoder(directory, Backend.ONNX_RUNTIME)
    return Encoder(directory / GRAPH, threads)
