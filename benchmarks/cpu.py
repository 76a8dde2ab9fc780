"""CPU seconds of whole programs, from /proc: a process, its children, and the children that have ended.

A process's own times are those of all its threads. `cutime` and `cstime` are those of its children that have ended and
been waited for, with all of theirs: so a PostgreSQL backend that ends is counted under the postmaster from then on.
"""

import os
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")
PAGE_OCTETS = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True, slots=True)
class _Stat:
    parent: int
    own: int
    ended_children: int


def _stat(pid: int | str) -> _Stat | None:
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    fields = text[text.rindex(")") + 2 :].split()
    utime, stime, cutime, cstime = map(int, fields[11:15])
    return _Stat(int(fields[1]), utime + stime, cutime + cstime)


def _processes() -> dict[int, _Stat]:
    pids = (int(each.name) for each in Path("/proc").iterdir() if each.name.isdecimal())
    return {pid: stat for pid in pids if (stat := _stat(pid)) is not None}


def tree(roots: Iterable[int]) -> Mapping[int, _Stat]:
    """Give processes with all that descend from them."""
    everything = _processes()
    found = {pid: everything[pid] for pid in roots if pid in everything}
    while more := {pid: stat for pid, stat in everything.items() if stat.parent in found and pid not in found}:
        found |= more
    return found


def seconds(roots: Iterable[int]) -> float:
    """Give the CPU seconds of processes and their descendants since they began.

    Read again if a child was just then counted under its parent: it would be there twice, or not at all.
    """
    roots = list(roots)
    while True:
        before = tree(roots)
        after = tree(roots)
        if {pid: stat.ended_children for pid, stat in before.items()} == {
            pid: stat.ended_children for pid, stat in after.items()
        }:
            return sum(stat.own + stat.ended_children for stat in after.values()) / TICKS


@dataclass(frozen=True, slots=True)
class Cost:
    """What was used in a span of time.

    Attributes:
        wall: seconds that passed.
        cpu: CPU seconds by group of processes; the groups' idle rate is taken off.
    """

    wall: float
    cpu: Mapping[str, float]

    @property
    def total(self) -> float:
        """CPU seconds of all groups."""
        return sum(self.cpu.values())


class Meter:
    """Measures groups of processes.

    Args:
        groups: by name, what gives the roots of a group.
    """

    def __init__(self, groups: Mapping[str, Callable[[], Iterable[int]]]) -> None:
        self._groups = dict(groups)
        self.idle = dict.fromkeys(groups, 0.0)

    def add(self, name: str, roots: Callable[[], Iterable[int]]) -> "Meter":
        """Give a meter of one group more, for which nothing is taken off."""
        meter = Meter(self._groups | {name: roots})
        meter.idle |= self.idle
        return meter

    def rest(self, duration: float = 3.0) -> None:
        """Measure what the groups use while nothing is asked of them, CPU seconds a second."""
        self.idle = dict.fromkeys(self._groups, 0.0)
        start = self.start()
        time.sleep(duration)
        cost = start()
        self.idle = {name: used / cost.wall for name, used in cost.cpu.items()}

    def start(self) -> Callable[[], Cost]:
        """Begin to measure; call what is returned at the end."""
        before = self._read()
        began = time.perf_counter()

        def stop() -> Cost:
            wall = time.perf_counter() - began
            after = self._read()
            used = {name: after[name] - before[name] - self.idle[name] * wall for name in before}
            return Cost(wall, used)

        return stop

    def _read(self) -> dict[str, float]:
        return {name: seconds(roots()) for name, roots in self._groups.items()}


def peak_octets(pid: int) -> int:
    """Give the most memory that a process had resident since `reset_peak`."""
    return _status(pid, "VmHWM")


def resident_octets(pid: int) -> int:
    """Give the memory that a process has resident."""
    return _status(pid, "VmRSS")


def reset_peak(pid: int) -> None:
    """Begin anew to watch the most memory that a process has resident (proc(5), clear_refs)."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")


def _status(pid: int, name: str) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * 1024
    raise ValueError(f"no {name} of process {pid}")
