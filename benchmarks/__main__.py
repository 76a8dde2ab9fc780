"""`python -m benchmarks`: the command line of the benchmarks."""

import argparse
import signal
import sys
import time
from dataclasses import replace
from pathlib import Path
from types import FrameType

from . import goals, growth, imports, latency
from .figures import figure
from .machine import describe, use_memory
from .report import Report
from .site import QUICK, Size, say, site

FOLDER = Path("build")


def standard(size: Size, *, cluster: bool) -> Path:
    """Measure all that is measured by default."""
    with site(size) as one:
        report = Report(describe(one.servers))
        found = goals.floors(one, report)
        usual = goals.requests(one, report, found)
        goals.activations(one, report, found, reports=size.reports)
        top = figure([each.requests_per_second for each in usual], "/s").median
        latency.at_half_rate(one, report, top)
        latency.of_large(one, report, top)
        goals.side_by_side(one, report, usual, "one RabbitMQ node")
    if cluster:
        with site(size, nodes=3) as three:
            goals.side_by_side(three, report, None, "three RabbitMQ nodes")
    return report.write(FOLDER, "bench")


def million(size: Size) -> Path:
    """Measure a million alerts in one go."""
    with site(replace(size, repetitions=1)) as one:
        report = Report(describe(one.servers))
        found = goals.floors(one, report)
        goals.activations(one, report, found, reports=50)
    return report.write(FOLDER, "bench-million")


def flat(size: Size, hubs: int, history: int) -> Path:
    """Measure with a small database, make it large, measure again."""
    with site(size) as one:
        report = Report(describe(one.servers))
        growth.compare(one, report, hubs, history)
    return report.write(FOLDER, "bench-flat")


def main() -> None:
    """Measure what is asked for, and print the report."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("what", choices=("standard", "quick", "million", "flat", "import"))
    parser.add_argument("--hubs", type=int, default=10_000_000, help="flat: hubs of the large database")
    parser.add_argument("--history", type=int, default=20_000_000, help="flat: lines of history")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, _leave)
    began = time.monotonic()
    say("using memory")
    use_memory()
    match options.what:
        case "standard":
            path = standard(Size(), cluster=True)
        case "quick":
            path = standard(QUICK, cluster=False)
        case "million":
            path = million(Size())
        case "import":
            path = imports.measure().write(FOLDER, "bench-import")
        case _:
            path = flat(Size(), options.hubs, options.history)
    print(path.read_text())
    say(f"{path} written after {time.monotonic() - began:.0f} s")


def _leave(_number: int, _frame: FrameType | None) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # make and timeout send it twice
    sys.exit(143)  # by way of every `finally`: servers are stopped, folders deleted


if __name__ == "__main__":
    main()
