"""How long a request waits for its outcome, at a steady rate; and what a very long list does to that.

Requests are published at even distances whatever the service does, so one that is late makes nobody else's wait look
shorter. A subscriber of every alert queue notes when each outcome alert arrives: that is after its confirm, nearly. And
a request counts as received when RabbitMQ confirms it: before that, it is the sender's.
"""

import re
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from .cpu import peak_octets, reset_peak, resident_octets
from .figures import figure, percentile
from .frames import Link, Refused
from .load import LISTENERS, OUTCOMES, audit, repeat, warm_up
from .mix import Document
from .product import Failed
from .report import Report
from .servers import Servers
from .site import Site, say
from .world import LARGE_SUPPLIER

TICK_SECONDS = 0.005
LEAD_IN_SECONDS = 2.0
"""What is sent in the first seconds is not counted."""
PATIENCE_SECONDS = 60.0
LARGE_EVERY_SECONDS = 3.0

_SUBJECT = re.compile(rb"<sr:ServiceRequestID>([^<]*)<")


class _Listener:
    """A link whose other end is listened to in a thread of its own; a context manager.

    Args:
        link: is hung up in the end.

    Attributes:
        failure: what ended the listening.
    """

    def __init__(self, link: Link) -> None:
        self.failure: BaseException | None = None
        self._link = link
        self._thread = threading.Thread(target=self._listen)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._link.hang_up()
        self._thread.join()

    def _listen(self) -> None:
        try:
            self._hear()
        except (OSError, Refused) as error:
            self.failure = error

    def _hear(self) -> None:
        """Note what comes, until the link is hung up."""
        raise NotImplementedError


class Subscriber(_Listener):
    """Notes when outcome alerts arrive.

    Args:
        servers: where.
    """

    def __init__(self, servers: Servers) -> None:
        self.arrived: dict[str, float] = {}
        super().__init__(Link(servers.rabbitmq.url))
        self._link.subscribe([f"alerts.{eui}" for eui in LISTENERS], 2000)

    def _hear(self) -> None:
        for some in self._link.arrivals():
            now = time.perf_counter()
            for each in some:
                if each.key.rpartition(".")[2] in OUTCOMES and (match := _SUBJECT.search(each.octets)):
                    self.arrived[match[1].decode()] = now


class Sender(_Listener):
    """Publishes requests, and notes when RabbitMQ confirms them.

    Args:
        servers: where.
    """

    def __init__(self, servers: Servers) -> None:
        self.received: dict[str, float] = {}
        self._names: list[str] = []
        super().__init__(Link(servers.rabbitmq.url))

    def send(self, documents: Sequence[Document]) -> None:
        """Publish requests; each once."""
        self._names += [each.request_id for each in documents]
        self._link.post([each.message for each in documents], int(time.time()))

    def _hear(self) -> None:
        for some in self._link.confirmed():
            now = time.perf_counter()
            for number in some:
                self.received.setdefault(self._names[number - 1], now)


@dataclass(frozen=True, slots=True)
class Waits:
    """How long requests waited for their outcome alerts, in seconds.

    Attributes:
        from_sending: since they were published.
        from_receipt: since RabbitMQ confirmed them.
    """

    from_sending: Sequence[float]
    from_receipt: Sequence[float]


def drive(servers: Servers, documents: Sequence[Document], rate: float, extra: Sequence[Document] = ()) -> Waits:
    """Send requests at a rate; give how long those with an outcome alert waited for it.

    Args:
        servers: where.
        documents: what, in order.
        rate: how many a second.
        extra: sent beside them, one every `LARGE_EVERY_SECONDS`; not counted.
    """
    sent: dict[str, float] = {}
    more = list(extra)
    place = 0
    with Subscriber(servers) as subscriber, Sender(servers) as sender:
        began = time.perf_counter()
        while place < len(documents):
            due = min(len(documents), int((time.perf_counter() - began) * rate))
            some = documents[place:due]
            now = time.perf_counter()
            if more and now - began > LEAD_IN_SECONDS + LARGE_EVERY_SECONDS * (len(extra) - len(more)):
                sender.send([more.pop()])
            sender.send(some)
            sent |= {each.request_id: now for each in some if each.outcome}
            place = due
            time.sleep(TICK_SECONDS)
        _await(subscriber, sender, {*sent, *(each.request_id for each in extra)})
    counted = {name: at for name, at in sent.items() if at - began > LEAD_IN_SECONDS}
    return Waits(
        [subscriber.arrived[name] - at for name, at in counted.items()],
        [subscriber.arrived[name] - sender.received[name] for name in counted],
    )


def _await(subscriber: Subscriber, sender: Sender, names: set[str]) -> None:
    end = time.monotonic() + PATIENCE_SECONDS
    while missing := names.difference(list(subscriber.arrived)):
        if failure := subscriber.failure or sender.failure:
            raise failure
        if time.monotonic() > end:
            raise Failed(f"{len(missing)} outcome alerts did not come")
        time.sleep(0.1)


def at_half_rate(site: Site, report: Report, top: float) -> None:
    """Goal 4: latency at half the top rate; and at a quarter and an eighth of it.

    Args:
        site: where.
        report: where to.
        top: requests a second that one process does.
    """
    found: dict[int, list[Waits]] = {}
    with site.product.running():
        warm_up(site.product, site.mix.usual(200))
        for share in (2, 4, 8):
            rate = top / share
            say(f"latency at {rate:.0f} requests a second")
            count = int(rate * (site.size.seconds + LEAD_IN_SECONDS))
            found[share] = []
            for _ in range(site.size.repetitions if share == 2 else 1):
                found[share].append(drive(site.servers, site.mix.usual(count), rate))
                audit(site.servers, [])
    section = report.section(
        "Latency",
        f"Half the top rate is {top / 2:.0f} requests a second; one process. Received: confirmed by RabbitMQ as"
        " published by the sender. The alert's confirm: its arrival at a subscriber, which is later.",
    )
    goals = {50: "under 50 ms", 99: "under 250 ms"}
    for percent, goal in goals.items():
        figures = [percentile(each.from_receipt, percent) * 1000 for each in found[2]]
        section.add(f"request received to outcome alert confirmed: p{percent}", figure(figures, "ms"), goal)
    for percent in goals:
        figures = [percentile(each.from_sending, percent) * 1000 for each in found[2]]
        section.add(f"request published to outcome alert received: p{percent}", figure(figures, "ms"))
    for share, name in ((4, "a quarter"), (8, "an eighth")):
        for percent in goals:
            waited = percentile(found[share][0].from_receipt, percent) * 1000
            section.add(f"received to confirmed, {name} of the top rate: p{percent}", waited, "ms")


def of_large(site: Site, report: Report, top: float) -> None:
    """Goal 5: an 11.6 with 50,000 hubs: what it costs, and what two processes do for small requests meanwhile."""
    say("a list of 50,000 hubs")
    rate = top / 4
    count = int(rate * (LEAD_IN_SECONDS + LARGE_EVERY_SECONDS * 3))
    cpu, memory = [], []
    with site.product.running(2):
        warm_up(site.product, site.mix.usual(400))
        audit(site.servers, [])
        for _ in range(site.size.repetitions):
            idle = {pid: resident_octets(pid) for pid in site.product.roots()}
            for pid in idle:
                reset_peak(pid)
            cpu.append(repeat(site.product, site.meter, [site.mix.large()]).cost.total)
            memory.append(max(peak_octets(pid) - before for pid, before in idle.items()) / 1e6)
        audit(site.servers, [])
        usual = drive(site.servers, site.mix.usual(count), rate).from_receipt
        audit(site.servers, [])
        large = [site.mix.large() for _ in range(3)]
        beside = drive(site.servers, site.mix.usual(count), rate, large).from_receipt
        audit(site.servers, [])
    section = report.section(
        "A list of 50,000 hubs",
        f"11.6 of one Supplier ({LARGE_SUPPLIER}); small requests beside it at {rate:.0f} a second, two processes.",
    )
    section.add("CPU of everything", figure(cpu, "s"), "under 1.5 s")
    section.add("memory of the process above idle", figure(memory, "MB"), "under 120 MB")
    for name, waits in (("without", usual), ("meanwhile, one every 3 s", beside)):
        section.add(f"small requests {name}: p50", percentile(waits, 50) * 1000, "ms")
        section.add(f"small requests {name}: p99", percentile(waits, 99) * 1000, "ms")
