"""How much processor each part of the cluster on this machine took, so that one sees who was the bottleneck."""

from collections import Counter
from time import monotonic
from typing import Final

import psutil

# The first one that the command line contains.
_PARTS: Final = {
    "autoglm_gateway": "gateway",
    "autoglm_operator": "operator",
    "autoglm_localcluster.fleet": "simulated replicas",
    "cluster_scaling": "load generator",
    "prometheus": "prometheus",
    "kube-apiserver": "kubernetes",
    "kube-controller-manager": "kubernetes",
    "kube-scheduler": "kubernetes",
    "kubelet": "kubernetes",
    "kube-proxy": "kubernetes",
    "kwok": "kubernetes",
    "etcd": "kubernetes",
    "containerd": "kubernetes",
}
OTHERS: Final = "everything else on the machine"


class Processors:
    """Seconds of processor by part since it was made; processes that end in between are counted up to the last look."""

    def __init__(self) -> None:
        self._began = monotonic()
        self._first: dict[tuple[int, float], float] = {}
        self._last: dict[tuple[int, float], float] = {}
        self._part: dict[tuple[int, float], str] = {}
        self.look()
        self._first = dict(self._last)

    def look(self) -> None:
        """Read every process."""
        for process in psutil.process_iter():
            try:
                key = (process.pid, process.create_time())
                if key not in self._part:
                    self._part[key] = _part(" ".join(process.cmdline()))
                times = process.cpu_times()
            except psutil.Error:  # it has ended since
                continue
            self._last[key] = times.user + times.system

    def shares(self) -> dict[str, float]:
        """Return the mean number of processors that each part used, the busiest first."""
        self.look()
        used: Counter[str] = Counter()
        for key, seconds in self._last.items():
            used[self._part[key]] += seconds - self._first.get(key, 0.0)
        lasted = monotonic() - self._began
        return {part: round(seconds / lasted, 2) for part, seconds in used.most_common()}


def _part(command: str) -> str:
    return next((part for word, part in _PARTS.items() if word in command), OTHERS)
