"""Measures two states of the code, or two settings, by turns in one run: what the host does meanwhile strikes both.

    python -m benchmarks.by_turns before=/elsewhere/src now=src --rate 760
    python -m benchmarks.by_turns few=src,batch_size=100 many=src,batch_size=1000 --flood 12000 --processes 2
    python -m benchmarks.by_turns before=/elsewhere/src now=src --reports 10
    python -m benchmarks.by_turns this=src that=src,python=/elsewhere/bin/python --rate 760

Each kind is a name, a folder to import `chfw_sr` from, settings, and an interpreter, if it is to be another one. The
database is made by the code that runs this, so all kinds must be content with its schema. Every other round goes
through them in the opposite order.
"""

import argparse
import sys
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from .cpu import Cost
from .figures import figure, percentile
from .latency import LEAD_IN_SECONDS, drive
from .load import audit, warm_up
from .machine import use_memory
from .site import Site, Size, say, site


@dataclass(frozen=True, slots=True)
class Kind:
    """What is measured by turns with others.

    Attributes:
        folder: where `chfw_sr` is imported from.
        settings: that differ from the defaults.
        python: the interpreter that runs it.
    """

    name: str
    folder: Path
    settings: Mapping[str, str]
    python: str

    @classmethod
    def parse(cls, text: str) -> "Kind":
        """Read NAME=FOLDER[,SETTING=VALUE...][,python=PATH]."""
        first, *others = text.split(",")
        name, _, folder = first.partition("=")
        if not (Path(folder) / "chfw_sr").is_dir():
            raise argparse.ArgumentTypeError(f"{text}: no chfw_sr in {folder or 'no folder'}")
        settings = {setting: value for setting, _, value in (each.partition("=") for each in others)}
        python = settings.pop("python", sys.executable)
        return cls(name, Path(folder).resolve(), settings, python)


Measured = Mapping[tuple[str, str], float]
"""What was measured, by name and unit."""


def at_rate(one: Site, rate: float, seconds: float) -> Measured:
    """Measure how long requests wait after their receipt at a steady rate, and what they cost but for both ends."""
    warm_up(one.product, one.mix.usual(400))
    audit(one.servers, [])
    documents = one.mix.usual(int(rate * (seconds + LEAD_IN_SECONDS)))
    stop = one.meter.add("service", one.product.roots).start()
    waits = drive(one.servers, documents, rate).from_receipt
    cost = stop()
    audit(one.servers, [])
    waited = {("p50", "ms"): percentile(waits, 50) * 1000, ("p99", "ms"): percentile(waits, 99) * 1000}
    return {**waited, **_used(cost, len(documents))}


def flood(one: Site, count: int) -> Measured:
    """Measure how fast requests are done that lie ready, and what they cost."""
    for _ in range(2):
        warm_up(one.product, one.mix.usual(1500))
    audit(one.servers, [])
    done = one.once(one.mix.usual(count))
    whole = {("requests", "/s"): done.requests_per_second, ("CPU a request", "µs"): done.request_us}
    return {**whole, **_used(done.cost, count)}


def reports(one: Site, count: int) -> Measured:
    """Measure how fast so many reports of 10,000 hubs become alerts, and what one costs."""
    (done,) = one.reports(count, 1)
    whole = {("alerts", "/s"): done.alerts / done.cost.wall, ("CPU an alert", "µs"): done.alert_us}
    return {**whole, **_used(done.cost, done.alerts, "an alert")}


def _measure(one: Site, given: argparse.Namespace) -> Measured:
    if given.rate:
        return at_rate(one, given.rate, given.seconds)
    return flood(one, given.flood) if given.flood else reports(one, given.reports)


def _used(cost: Cost, count: int, each: str = "a request") -> Measured:
    return {(f"{name}, CPU {each}", "µs"): cpu / count * 1e6 for name, cpu in cost.cpu.items()}


def main() -> None:
    """Measure what is asked for, and print medians with their spread."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kinds", nargs="+", type=Kind.parse, metavar="NAME=FOLDER[,SETTING=VALUE...]")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--rate", type=float, help="requests a second, at even distances")
    what.add_argument("--flood", type=int, help="requests that lie ready")
    what.add_argument("--reports", type=int, help="reports of 10,000 hubs that lie ready")
    parser.add_argument("--seconds", type=float, default=5.0, help="that are counted at a steady rate")
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--processes", type=int, default=1)
    given = parser.parse_args()
    use_memory()
    found: dict[str, list[Measured]] = defaultdict(list)
    with site(Size()) as one:
        for number in range(given.rounds):
            kinds: Sequence[Kind] = given.kinds[:: -1 if number % 2 else 1]
            for kind in kinds:
                one.product.more, one.product.python = kind.settings, kind.python
                one.product.variables = {"PYTHONPATH": str(kind.folder)}
                with one.product.running(given.processes):
                    measured = _measure(one, given)
                found[kind.name].append(measured)
                say(
                    f"{kind.name}: "
                    + ", ".join(f"{name} {value:.0f} {unit}" for (name, unit), value in measured.items())
                )
    for name, many in found.items():
        print(name)
        for what_it_is, unit in many[0]:
            print(f"    {what_it_is:<28} {figure([each[what_it_is, unit] for each in many], unit)}")


if __name__ == "__main__":
    main()
