"""Give memory back that the engine's allocators keep but do not use; runs inside the engine's process.

The C library keeps freed memory of its arenas, PyTorch keeps freed blocks of the GPU. Neither returns them by itself,
and from outside the process nobody can: the runtime asks by touching a file, and the engine looks at it between
two steps.
"""

import ctypes
import gc
import sys
from pathlib import Path
from typing import Any, Final

PARAMETER_FILE: Final = "reclaim_file"
PARAMETER_INTERVAL: Final = "reclaim_interval_seconds"
LOOK_SECONDS: Final = 1.0
_WORTH_SHARE: Final = 0.10  # of what PyTorch has reserved; less is not worth the pause
_PAGE: Final = 4096


class Reclaimer:
    """Decides when to reclaim: when asked, and every interval while the engine is idle after work."""

    def __init__(self, asked: Path | None, interval_seconds: float, now: float) -> None:
        """`asked` is the file whose change means: now. Times are monotonic seconds."""
        self._asked = asked
        self._interval = interval_seconds
        self._stamp = _stamp(asked)
        self._last = now
        self._looked = now
        self._worked = False

    def due(self, now: float, *, idle: bool) -> bool:
        """Return whether to reclaim now, and take it as done."""
        self._worked = self._worked or not idle
        if now - self._looked < LOOK_SECONDS:
            return False
        self._looked = now
        if not (self._was_asked() or (idle and self._worked and now - self._last >= self._interval)):
            return False
        self._last, self._worked = now, False
        return True

    def _was_asked(self) -> bool:
        before, self._stamp = self._stamp, _stamp(self._asked)
        return self._stamp != before


def reclaim() -> int:
    """Collect garbage and give unused memory back; return by how many bytes the process shrank."""
    before = resident_bytes()
    gc.collect()
    empty_gpu_cache(sys.modules.get("torch"))
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc's; other C libraries have none
    if trim is not None:
        trim(0)
    return max(0, before - resident_bytes())


def empty_gpu_cache(torch: Any) -> bool:
    """Empty PyTorch's cache of GPU memory where more than a tenth of it is unused; return whether it was done."""
    if torch is None or not torch.cuda.is_initialized():
        return False
    reserved = torch.cuda.memory_reserved()
    if reserved - torch.cuda.memory_allocated() <= _WORTH_SHARE * reserved:
        return False
    torch.cuda.empty_cache()
    return True


def resident_bytes() -> int:
    """Return the memory that this process holds."""
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * _PAGE


def _stamp(file: Path | None) -> int:
    try:
        return file.stat().st_mtime_ns if file else 0
    except OSError:
        return 0
