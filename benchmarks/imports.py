"""Goal 3: how fast a nation's hubs come in by the command: into an empty inventory, and again with no change."""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from chfw_sr.settings import PREFIX

from .cpu import Meter, peak_octets
from .figures import figure
from .machine import describe
from .product import Failed, bare_environment, call
from .report import Report
from .servers import servers
from .site import say

HUBS = 1_000_000
REPETITIONS = 3
POLL_SECONDS = 0.05


@dataclass(frozen=True, slots=True)
class Imported:
    """What one import cost.

    Attributes:
        wall: seconds from the start of the command to its end.
        client: CPU seconds of the command.
        server: CPU seconds of PostgreSQL.
        octets: the most memory that the command had.
    """

    wall: float
    client: float
    server: float
    octets: int


def measure(hubs: int = HUBS, repetitions: int = REPETITIONS) -> Report:
    """Import a nation as the simulation makes it into a new database, and import the same again; several times.

    Args:
        hubs: how many.
        repetitions: of both.
    """
    with tempfile.TemporaryDirectory(prefix="chfw-sr-bench-") as folder:
        say("making a nation")
        nation = Path(folder) / "nation"
        environment = bare_environment()
        call(["simulate", "prepare", str(nation), "--hubs", str(hubs)], environment, nation.parent)
        command = ["inventory", "import", str(nation / "inventory.csv")]
        first, again = [], []
        for _ in range(repetitions):
            say(f"importing {hubs:,} hubs")
            with servers() as running:
                machine = describe(running)
                here = environment | {f"{PREFIX}DATABASE_URL": running.postgresql.url}
                call(["migrate"], here, nation.parent)
                meter = Meter({"PostgreSQL": running.groups["PostgreSQL"]})
                meter.rest()
                first.append(_measured(command, here, meter))
                again.append(_measured(command, here, meter))
    report = Report(machine)
    section = report.section("Import", f"`chfw-sr inventory import` of {hubs:,} hubs, from its start to its end.")
    for name, some, aim in (("first", first, "at least 50,000 /s"), ("again, nothing changed", again, "")):
        section.add(f"{name}: hubs a second", figure([hubs / each.wall for each in some], "/s"), aim)
        section.add(f"{name}: CPU a hub, the command", figure([each.client / hubs * 1e6 for each in some], "µs"))
        section.add(f"{name}: CPU a hub, PostgreSQL", figure([each.server / hubs * 1e6 for each in some], "µs"))
        section.add(f"{name}: most memory of the command", figure([each.octets / 2**20 for each in some], "MiB"))
    return report


def _measured(arguments: Sequence[str], environment: Mapping[str, str], meter: Meter) -> Imported:
    """Run a command to its end, and watch what it takes."""
    stop, began, octets = meter.start(), time.perf_counter(), 0
    process = subprocess.Popen(
        [sys.executable, "-m", "chfw_sr", *arguments], env=environment, stdout=subprocess.DEVNULL
    )
    while True:
        with suppress(OSError, ValueError):  # it may have ended
            octets = max(octets, peak_octets(process.pid))
        ended, status, used = os.wait4(process.pid, os.WNOHANG)
        if ended:
            break
        time.sleep(POLL_SECONDS)
    wall, cost = time.perf_counter() - began, stop()
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise Failed(f"chfw-sr {' '.join(arguments)}: ended with {process.returncode}")
    return Imported(wall, used.ru_utime + used.ru_stime, cost.total, octets)
