"""Arrays of numpy 2 as tensors of Triton's Python backend."""

import ctypes
from typing import Any

import numpy as np
import triton_python_backend_utils as pb_utils

_set_capsule_name = ctypes.pythonapi.PyCapsule_SetName
_set_capsule_name.argtypes = (ctypes.py_object, ctypes.c_char_p)


def tensor(name: str, array: np.ndarray) -> Any:
    """Return a tensor of Triton.

    By DLPack, since the stub was built for numpy 1 and takes the arrays of numpy 2 for empty ones. It marks the capsule
    as used by a name of its own, so that numpy would complain on freeing it: the mark is corrected.
    """
    capsule = array.__dlpack__()
    made = pb_utils.Tensor.from_dlpack(name, capsule)
    _set_capsule_name(capsule, b"used_dltensor")
    return made
