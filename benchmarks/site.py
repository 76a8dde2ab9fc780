"""A place to measure in: servers, a world, the product set up in it, and how large a run is."""

import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from .cpu import Meter
from .load import Repetition, audit, repeat, send, warm_up
from .mix import Document, Mix
from .product import Failed, Product
from .servers import Servers, servers, sql
from .world import OPERATOR, World

OPENING_SECONDS = 60.0
WARM_UP = 1000
REPORTED = 10_000
"""Hubs of a large report."""


@dataclass(frozen=True, slots=True)
class Size:
    """How large a run is.

    Attributes:
        hubs: in the inventory, but for the large Supplier's.
        repetitions: of everything.
        seconds: that one repetition is to last, about.
        fewest: requests of a repetition, however slow they are.
        most: requests of a repetition, however fast.
        floor: operations of a floor.
        plain: requests to the straightforward service.
        reports: of 10,000 hubs each.
    """

    hubs: int = 100_000
    repetitions: int = 3
    seconds: float = 8.0
    fewest: int = 500
    most: int = 30_000
    floor: int = 20_000
    plain: int = 600
    reports: int = 5


QUICK = Size(repetitions=1, seconds=2.0, fewest=200, most=4_000, floor=5_000, plain=100, reports=1)


@dataclass
class Site:
    """Everything that a measurement needs."""

    servers: Servers
    world: World
    mix: Mix
    product: Product
    meter: Meter
    size: Size
    import_seconds: float

    def repetitions(self, make: Callable[[int], Sequence[Document]]) -> list[Repetition]:
        """Measure requests several times, each time as many as the time allows, and look at all that they caused.

        Args:
            make: gives so many requests.
        """
        warm_up(self.product, make(WARM_UP))
        trial = make(WARM_UP)
        began = time.perf_counter()
        warm_up(self.product, trial)
        rate = len(trial) / (time.perf_counter() - began)
        audit(self.servers, [])
        count = int(min(max(rate * self.size.seconds, self.size.fewest), self.size.most))
        return [self.once(make(count)) for _ in range(self.size.repetitions)]

    def reports(self, count: int, repetitions: int) -> list[Repetition]:
        """Measure large reports several times, after one that is not measured.

        Args:
            count: reports of a repetition.
            repetitions: how many.
        """
        warm = self.mix.reports(1, REPORTED)
        warm_up(self.product, warm)
        audit(self.servers, warm)
        return [self.once(self.mix.reports(count, REPORTED)) for _ in range(repetitions)]

    def once(self, documents: Sequence[Document]) -> Repetition:
        """Measure requests once, and look at all that they caused."""
        done = repeat(self.product, self.meter, documents)
        audit(self.servers, documents)
        say(f"  {done.requests} requests, {done.messages} messages in {done.cost.wall:.1f} s")
        return done


@contextmanager
def site(size: Size, *, nodes: int = 1) -> Iterator[Site]:
    """Give a site with its campaigns open.

    Args:
        size: how large.
        nodes: of RabbitMQ.
    """
    say("starting servers, making the world")
    with servers(nodes=nodes) as running, tempfile.TemporaryDirectory(prefix="chfw-sr-bench-") as folder:
        world = World(Path(folder), size.hubs)
        product = Product(world, running)
        seconds = product.set_up()
        for statement in ("VACUUM ANALYZE", "CHECKPOINT"):  # what autovacuum would do amid the first measurements
            sql(running.postgresql.url, statement)
        meter = Meter(running.groups)
        meter.rest()
        made = Site(running, world, Mix(world), product, meter, size, seconds)
        with product.running():
            _open_campaigns(made)
        yield made


def _open_campaigns(made: Site) -> None:
    documents = []
    for body in made.world.opening():
        request_id, octets = made.world.request(OPERATOR, body)
        documents.append(Document(str(request_id), str(body.srv), octets, "I99", "N911", 1, 0))
    send(made.servers, documents)
    end = time.monotonic() + OPENING_SECONDS
    while made.product.progress().codes["I99"] < len(documents):
        if time.monotonic() > end:
            raise Failed(f"the campaigns did not open: {made.product.progress().codes}")
        time.sleep(0.2)
    audit(made.servers, [])


def say(text: str) -> None:
    """Tell people what is going on."""
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)
