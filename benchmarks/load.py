"""One measured repetition: work lies ready in RabbitMQ, the clock starts, all of it is done and confirmed, it stops.

The product's processes are warm and stand still (SIGSTOP) while the queue is filled, so that neither their start nor
the sending of requests is measured, and all that is asked is answered before the clock stops: nothing is left in the
outbox.
What the server had handed to the stopped consumers by then (`prefetch` messages each) was delivered before.
"""

import re
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from .cpu import Cost, Meter, seconds
from .frames import Link
from .mix import Document, codes_of, messages_of
from .product import Failed, Product, Progress
from .servers import Servers
from .world import CSP, LARGE_SUPPLIER, OPERATOR, SUPPLIER

POLL_SECONDS = 0.05
RESTING = 0.2
"""The share of a processor below which the service may have finished: only then is it asked, for asking costs CPU."""
SETTLE_SECONDS = 0.5
SLOWEST_SECONDS = 0.1
"""For one message; after which a repetition has failed."""

LISTENERS = (OPERATOR, LARGE_SUPPLIER, *SUPPLIER, *CSP)
_SUBJECT = re.compile(rb"<sr:(?:ServiceRequestID|RequestID)>([^<]*)<")
_CODE = re.compile(rb"<sr:(?:DCCAlertCode|ResponseCode)>([^<]*)<")
OUTCOMES = frozenset({"N902", "N903", "N904", "N910", "N911"})


@dataclass(frozen=True, slots=True)
class Repetition:
    """What one repetition cost.

    Attributes:
        requests: that were asked.
        messages: responses and alerts that were confirmed.
    """

    requests: int
    messages: int
    cost: Cost

    @property
    def requests_per_second(self) -> float:
        """Speed, by the clock on the wall."""
        return self.requests / self.cost.wall

    @property
    def alerts(self) -> int:
        """Messages other than the responses."""
        return self.messages - self.requests

    @property
    def request_us(self) -> float:
        """CPU microseconds a request, of everything together."""
        return self.cost.total / self.requests * 1e6

    @property
    def alert_us(self) -> float:
        """CPU microseconds an alert, of everything together."""
        return self.cost.total / self.alerts * 1e6


def send(servers: Servers, documents: Sequence[Document]) -> None:
    """Publish requests, as fast as may be, and wait for the confirms."""
    with Link(servers.rabbitmq.url) as link:
        link.publish([document.message for document in documents], int(time.time()))


def warm_up(product: Product, documents: Sequence[Document]) -> None:
    """Have requests done that nobody measures."""
    before = product.progress()
    send(product.servers, documents)
    finish(product, before, documents)


def repeat(product: Product, meter: Meter, documents: Sequence[Document]) -> Repetition:
    """Measure the doing of these requests.

    Raises:
        Failed: if a response code is not as it must be, or not all is done within reason.
    """
    before = product.progress()
    product.freeze()
    try:
        send(product.servers, documents)
        time.sleep(SETTLE_SECONDS)
        stop = meter.add("service", product.roots).start()
    finally:
        product.thaw()
    finish(product, before, documents)
    return Repetition(len(documents), messages_of(documents), stop())


def finish(product: Product, before: Progress, documents: Sequence[Document]) -> None:
    """Wait until all is done and confirmed, and check the response codes."""
    expected, messages = codes_of(documents), messages_of(documents)
    end = time.monotonic() + 30 + SLOWEST_SECONDS * messages
    used = seconds(product.roots())
    while True:
        time.sleep(POLL_SECONDS)
        before_that, used = used, seconds(product.roots())
        if used - before_that > RESTING * POLL_SECONDS:
            continue
        done = product.progress() - before
        if done.confirmed >= messages and done.codes.total() >= expected.total():
            break
        if time.monotonic() > end:
            raise Failed(f"{done.codes.total()} of {expected.total()} done, {done.confirmed} of {messages} confirmed")
    if done.codes != expected or done.confirmed != messages:
        raise Failed(f"expected {expected} and {messages} messages, got {done.codes} and {done.confirmed}")


def audit(servers: Servers, documents: Sequence[Document]) -> int:
    """Empty the Users' queues and hold what lies there against what was asked; give how many messages there were.

    Every request must have its one response, with its code, and its one outcome alert, if it has one; everything else
    must be alerts, as many as are owed. Messages of other requests are taken out and left aside.

    Raises:
        Failed: if anything is missing, too many, or comes twice.
    """
    responses: Counter[tuple[str, str]] = Counter()
    outcomes: Counter[tuple[str, str]] = Counter()
    asked = {document.request_id for document in documents}
    total = others = 0
    for octets in _everything(servers):
        total += 1
        codes = [code.decode() for code in _CODE.findall(octets)]
        subject = match[1].decode() if (match := _SUBJECT.search(octets)) else ""
        if b"<sr:DCCAlertMessage>" not in octets:
            responses[subject, codes[0]] += subject in asked
        elif codes[1] in OUTCOMES:
            outcomes[subject, codes[1]] += subject in asked
        else:
            others += 1
    owed = Counter((document.request_id, document.code) for document in documents)
    told = Counter((document.request_id, document.outcome) for document in documents if document.outcome)
    if +responses != owed or +outcomes != told:
        wrong = [*((owed - responses) | (responses - owed)), *((told - outcomes) | (outcomes - told))]
        raise Failed(f"{len(wrong)} requests without their one answer, or with too many; {wrong[:3]}")
    if others < (expected := sum(document.alerts for document in documents) - len(told)):
        raise Failed(f"{others} alerts about hubs where {expected} are owed")
    return total


def _everything(servers: Servers) -> list[bytes]:
    found: list[bytes] = []
    for queue in (f"{kind}.{eui}" for eui in LISTENERS for kind in ("responses", "alerts")):
        with Link(servers.rabbitmq.url) as link:
            if ready := link.ready(queue):
                found += [delivered.octets for delivered in link.take(queue, ready, 500)]
        with Link(servers.rabbitmq.url) as link:
            link.purge(queue)
    return found
