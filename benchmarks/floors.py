"""Floors: what each part costs at best, and their sum for a request and for an alert.

A sum counts what no design can leave out, each at the price of the best way that was measured for it:

- **a request**: consumed once; parsed, validated, canonicalised twice, verified; a row of the inbox; for each of its
  messages rendering and signing, a row of the outbox, its share of draining that, and a publish, through topic
  exchanges to the queues of 41 Users (wire contract §7); for each hub that it writes down the update of a row, and for
  each result that it reports a small row more;
- **an alert** about an activation: rendering and signing, a row of the outbox, draining, a publish; of its hub's update
  and small row its share, and of its report's intake.

Everything that a design adds (claims, leases, locks, looking up campaigns, telling apart who may do what, the log) is
above the floor.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from .figures import Figure
from .mix import Document, messages_of


@dataclass(frozen=True, slots=True)
class Floor:
    """What one operation of a part costs.

    Attributes:
        client: CPU microseconds in our process.
        server: CPU microseconds in the server; None where there is none.
    """

    client: Figure
    server: Figure | None = None

    @property
    def total(self) -> float:
        """Both together, microseconds."""
        return self.client.median + (self.server.median if self.server else 0.0)


Floors = Mapping[str, Floor]

PARSE, SCHEMA, INCLUSIVE, EXCLUSIVE = "hardened parse", "XSD", "inclusive c14n and digest", "exclusive c14n"
VERIFY, SIGN, ALERT = "ECDSA P-256 verify", "ECDSA P-256 sign", "alert rendered and signed"
PUBLISH, CONSUME = "raw frames, publish and confirm", "raw frames, consume and acknowledge 100 at once"
STRAIGHT = "raw frames, publish and confirm, default exchange"
COPIED, UNNESTED, COMMITTED = "1.5 KB row, COPY", "1.5 KB row, unnest", "1.5 KB row, a commit each"
SPREAD = "raw frames, publish and confirm, to 82 queues"
SPREAD_STRAIGHT = "raw frames, publish and confirm, to 82 queues, default exchange"
DRAINED, UPDATED, SMALL = "1.5 KB row drained, in 500s", "hub updated, in 1,000s", "200-octet row, COPY"
REPORT = "report of 10,000: parse, XSD, c14n and digest"

INTAKE = (PARSE, SCHEMA, INCLUSIVE, EXCLUSIVE, VERIFY)


@dataclass(frozen=True, slots=True)
class Part:
    """A line of a sum: so many times an operation."""

    name: str
    times: float
    each: float

    @property
    def cost(self) -> float:
        """Microseconds."""
        return self.times * self.each


def cheapest_row(floors: Floors) -> str:
    """Name the cheaper way to write 1.5 KB rows."""
    return min((COPIED, UNNESTED), key=lambda name: floors[name].total)


def of_request(floors: Floors, documents: Sequence[Document]) -> list[Part]:
    """Add up the floor of a request, on the average of some documents."""
    count = len(documents)
    messages = messages_of(documents) / count
    hubs = sum(document.hubs for document in documents) / count
    reported = sum(document.hubs for document in documents if document.srv == "11.30") / count
    counted = [
        (CONSUME, 1.0),
        *((name, 1.0) for name in INTAKE),
        (ALERT, messages),
        (cheapest_row(floors), 1 + messages),
        (DRAINED, messages),
        (SPREAD, messages),
        (UPDATED, hubs),
        (SMALL, reported),
    ]
    return [Part(name, times, floors[name].total) for name, times in counted]


def of_alert(floors: Floors, documents: Sequence[Document]) -> list[Part]:
    """Add up the floor of an alert about an activation, on the average of some reports."""
    alerts = sum(document.alerts for document in documents)
    hubs = sum(document.hubs for document in documents) / alerts
    counted = [
        (REPORT, len(documents) / alerts),
        (ALERT, 1.0),
        (cheapest_row(floors), 1.0),
        (DRAINED, 1.0),
        (PUBLISH, 1.0),
        (UPDATED, hubs),
        (SMALL, hubs),
    ]
    return [Part(name, times, floors[name].total) for name, times in counted]


def total(parts: Sequence[Part]) -> float:
    """Add up, microseconds."""
    return sum(part.cost for part in parts)
