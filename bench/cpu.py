"""CPU time by part of the product, from what the system counts for each process."""

import time
from collections.abc import Mapping, Sequence

import psutil

CpuSeconds = dict[str, float]


class CpuMeter:
    """Reads the CPU time of named groups of processes, each with all its descendants."""

    def __init__(self, groups: Mapping[str, Sequence[int]]) -> None:
        self._groups = {
            name: [psutil.Process(pid) for pid in pids] for name, pids in groups.items()
        }

    def read(self) -> CpuSeconds:
        """Seconds used so far, user and system together; `load` is this process itself."""
        used = {
            name: sum(_family_seconds(process) for process in processes)
            for name, processes in self._groups.items()
        }
        return used | {"load": time.process_time()}


def product_groups(processes: Mapping[str, int]) -> dict[str, list[int]]:
    """The product's processes, its workers as one group."""
    workers = [pid for name, pid in processes.items() if name.startswith("worker")]
    others = {name: [processes[name]] for name in ("api", "temporal", "postgres")}
    return {"api": others["api"], "workers": workers} | others


def _family_seconds(process: psutil.Process) -> float:
    """The process, its children that ended, and its children that live."""
    times = process.cpu_times()
    total = times.user + times.system + times.children_user + times.children_system
    for descendant in process.children(recursive=True):
        try:
            used = descendant.cpu_times()
        except psutil.NoSuchProcess:
            continue
        total += used.user + used.system
    return float(total)
