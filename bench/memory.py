"""Memory of the product by process, as the kernel counts it."""

from collections.abc import Mapping
from dataclasses import dataclass

import psutil

MB = 1e6


@dataclass(frozen=True)
class Memory:
    """Megabytes of one part with all its descendants.

    Attributes:
        rss_mb: Resident; what processes share counts for each of them.
        pss_mb: Proportional: what n processes share counts to a n-th for each of them.
    """

    rss_mb: float
    pss_mb: float


def read_memory(parts: Mapping[str, int]) -> dict[str, Memory]:
    """What each part holds now, by the pid at its head; PostgreSQL is a family of many."""
    heads = set(parts.values())
    return {name: _sum(_family(psutil.Process(pid), heads)) for name, pid in parts.items()}


def supervisor_alone(pid: int, others: Mapping[str, int]) -> dict[str, Memory]:
    """The supervisor itself, and the guards that stand between it and foreign programs."""
    top = psutil.Process(pid)
    guards = [child for child in top.children() if child.pid not in others.values()]
    return {"supervisor": _sum([top]), "guards": _sum(guards)}


def _family(top: psutil.Process, heads: set[int]) -> list[psutil.Process]:
    """A process and what is under it, without parts of their own: some are forked from others."""
    mine = [child for child in top.children() if child.pid not in heads]
    return [top, *(one for child in mine for one in _family(child, heads))]


def _sum(processes: list[psutil.Process]) -> Memory:
    rss = pss = 0
    for process in processes:
        try:
            used = process.memory_full_info()
        except psutil.NoSuchProcess:
            continue
        rss += used.rss
        pss += used.pss
    return Memory(rss / MB, pss / MB)
