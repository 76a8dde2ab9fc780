"""Goal 3: how fast a nation's hubs come in by the command: into an empty inventory, and again with no change."""

import resource
import tempfile
from pathlib import Path

from .cpu import Cost, Meter
from .figures import figure
from .machine import describe
from .product import Product
from .report import Report
from .servers import servers
from .site import say
from .world import LARGE_HUBS, World

HUBS = 1_000_000
REPETITIONS = 3


def measure(hubs: int = HUBS, repetitions: int = REPETITIONS) -> Report:
    """Import into a new database, and import the same again; several times.

    Args:
        hubs: how many, about: each Supplier has as many of each model.
        repetitions: of both.
    """
    with tempfile.TemporaryDirectory(prefix="chfw-sr-bench-") as folder:
        say("making the world")
        world = World(Path(folder), hubs - len(LARGE_HUBS))
        imported = len(world.hubs_file.read_bytes().splitlines()) - 1
        first, again = [], []
        for _ in range(repetitions):
            say(f"importing {imported:,} hubs")
            with servers() as running:
                machine = describe(running)
                product = Product(world, running)
                product.call("migrate")
                product.call("users", "import", str(world.users_file))
                meter = Meter({"PostgreSQL": running.groups["PostgreSQL"]})
                meter.rest()
                first.append(_import(product, meter))
                again.append(_import(product, meter))
                octets = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024  # of this or an earlier command
    report = Report(machine)
    section = report.section(
        "Import", f"`chfw-sr inventory import` of {imported:,} hubs, from the start of the command to its end."
    )
    for name, costs in (("first", first), ("again, nothing changed", again)):
        aim = "at least 50,000 /s" if costs is first else ""
        section.add(f"{name}: hubs a second", figure([imported / cost.wall for cost, _ in costs], "/s"), aim)
        client = figure([own / imported * 1e6 for _, own in costs], "µs")
        section.add(f"{name}: CPU a hub, the command", client)
        server = figure([cost.total / imported * 1e6 for cost, _ in costs], "µs")
        section.add(f"{name}: CPU a hub, PostgreSQL", server)
    section.add("memory of the command, at most", octets / 2**20, "MiB")
    return report


def _import(product: Product, meter: Meter) -> tuple[Cost, float]:
    """Import; give what it cost, and the command's own CPU seconds."""
    before, stop = resource.getrusage(resource.RUSAGE_CHILDREN), meter.start()
    product.call("inventory", "import", str(product.world.hubs_file))
    cost, after = stop(), resource.getrusage(resource.RUSAGE_CHILDREN)
    return cost, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
