"""The ledger: what was sent, what arrived, what the database holds, and whether the three agree.

Nothing in here looks into the service. What was sent is noted by the senders, what arrived by subscribers of the queues
`responses.EUI` and `alerts.EUI`, and the database is read with SQL of the tests' own. The rules of the judgement:

- lost: a verified request without a response or without its one outcome alert, an alert that is owed and did not come,
  a message that the outbox calls published and nobody received, a good request in quarantine;
- doubled: the same content told twice (under two message ids), the same line of history twice for one request, hubs
  counted twice;
- ghosts: a message that is not in the outbox, or whose cause is not in the database;
- stuck: rows of the outbox that are not finished, rows of the inbox without a response;
- inversions: of two messages in one queue, the one that was made first arrived second for the first time. One was made
  before the other if both are of one transaction, or if its request was answered before the other's was sent;
- altered: one message id with other octets;
- wrong: a response code that the request cannot have had.
"""

import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields

from lxml import etree

SR = "{http://www.dccinterface.co.uk/ServiceUserGateway}"
BLOCK = 2**16
"""Outbox ids of one transaction on PostgreSQL share a block; elsewhere they do so by chance, which does no harm."""

UNROUTED = "unrouted"

PER_ACTIVATION = ("N64", "N908")
OUTCOMES = ("N902", "N903", "N904", "N910", "N911")

Owed = tuple[str, str, str]
"""Recipient, alert code, subject (a RequestID, a DeviceID or a CampaignID)."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """A message as it arrived for the first time; `at` and all other moments are counted, not measured."""

    queue: str
    recipient: str
    message_id: str
    code: str
    digest: bytes
    at: int
    subject: str
    content: bytes = b""


@dataclass(slots=True)
class Request:
    """A verified request, as its sender knows it.

    Attributes:
        codes: the response codes that it may get.
        contents: how many different contents were sent under its RequestID.
        sent: when it was sent first.
        answered: when its response arrived first.
        code: the response code that arrived first.
        reply_to: where the answer was to go as well.
    """

    request_id: str
    srv: str
    codes: frozenset[str]
    sent: int
    contents: int = 1
    answered: int | None = None
    code: str | None = None
    reply_to: str | None = None

    @property
    def counter(self) -> int:
        return int(self.request_id.rpartition(":")[2])


@dataclass(frozen=True, slots=True)
class OutboxRow:
    id: int
    kind: str
    recipient: str
    message_id: str
    digest: bytes
    finished: bool


@dataclass(frozen=True, slots=True)
class Evidence:
    """What the database holds.

    Attributes:
        inbox: RequestIDs, each with whether it has a response.
        outbox: every row.
        activations: hubs with a result, each with how many times it is recorded; the tests report a hub once.
        campaigns: CampaignIDs, each with the results that it says were reported and those that are recorded for it.
        repeated_history: lines of the history that one request wrote more than once.
    """

    inbox: Mapping[str, bool]
    outbox: tuple[OutboxRow, ...]
    activations: Mapping[tuple[str, str], int]
    campaigns: Mapping[str, tuple[int, int]]
    repeated_history: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Verdict:
    """What must be empty."""

    lost: tuple[str, ...] = ()
    doubled: tuple[str, ...] = ()
    ghosts: tuple[str, ...] = ()
    stuck: tuple[str, ...] = ()
    inversions: tuple[str, ...] = ()
    altered: tuple[str, ...] = ()
    wrong: tuple[str, ...] = ()

    @property
    def counts(self) -> dict[str, int]:
        return {each.name: len(getattr(self, each.name)) for each in fields(self)}

    def __str__(self) -> str:
        lines = [f"{name}: {count}" for name, count in self.counts.items()]
        for each in fields(self):
            lines += [f"  {each.name}: {one}" for one in getattr(self, each.name)[:20]]
        return "\n".join(lines)


@dataclass(slots=True)
class Ledger:
    """What was sent and what arrived."""

    requests: dict[str, Request] = field(default_factory=dict)
    arrivals: dict[tuple[str, str, bytes], Arrival] = field(default_factory=dict)
    owed: Counter[Owed] = field(default_factory=Counter)
    quarantined: list[str] = field(default_factory=list)
    replies: Counter[str] = field(default_factory=Counter)
    duplicates: int = 0
    copies: int = 0
    _moment: int = 0

    def tick(self) -> int:
        """Give the next moment."""
        self._moment += 1
        return self._moment

    def sending(
        self, request_id: str, srv: str, codes: Iterable[str], *, contents: int = 1, reply_to: str | None = None
    ) -> Request:
        """Note that a request is about to be sent for the first time."""
        request = Request(request_id, srv, frozenset(codes), self.tick(), contents=contents, reply_to=reply_to)
        self.requests[request_id] = request
        return request

    def sent(self) -> None:
        """Note that the bus took a request, or a repetition of it."""
        self.copies += 1

    def owes(self, recipient: str, code: str, subject: str) -> None:
        """Note an alert that must come."""
        self.owed[recipient, code, subject] += 1

    def arrived(self, queue: str, message_id: str, octets: bytes) -> Arrival | None:
        """Note a message from a User's queue; None if it had arrived before."""
        key = (queue, message_id, hashlib.sha256(octets).digest())
        if key in self.arrivals:
            self.duplicates += 1
            return None
        code, subject, content = read(octets)
        at = self.tick()
        arrival = Arrival(queue, queue.partition(".")[2], message_id, code, key[2], at, subject, content)
        self.arrivals[key] = arrival
        if queue.startswith("responses.") and (request := self.requests.get(subject)) and request.answered is None:
            request.answered, request.code = at, code
        return arrival

    def kept(self, octets: bytes) -> None:
        """Note an alert that lay in `chfw.unrouted`: it arrived, if not at its place in the order."""
        header = etree.fromstring(octets).find(f"{SR}Header")
        assert header is not None
        response_id = header.findtext(f"{SR}ResponseID", "")
        self.arrived(f"{UNROUTED}.{response_id.split(':')[1]}", response_id, octets)

    def replied(self, octets: bytes) -> None:
        """Note a message from the queue that a request named as `reply_to`."""
        self.replies[read(octets)[1]] += 1

    def judge(self, evidence: Evidence) -> Verdict:
        """Compare."""
        return Verdict(
            lost=(*self._unanswered(), *self._untold(), *self._unreceived(evidence), *self._poisoned()),
            doubled=(*self._told_twice(), *self._done_twice(evidence)),
            ghosts=tuple(self._ghosts(evidence)),
            stuck=tuple(_stuck(evidence)),
            inversions=tuple(self._inversions(evidence)),
            altered=tuple(self._altered()),
            wrong=tuple(
                f"{each.request_id} ({each.srv}) was answered {each.code}, not {sorted(each.codes)}"
                for each in self.requests.values()
                if each.code is not None and each.code not in each.codes
            ),
        )

    @property
    def alerts(self) -> list[Arrival]:
        """The alerts that arrived; one that was kept, and delivered when it was published again, counts once."""
        alerts = (each for each in self.arrivals.values() if each.queue.startswith(("alerts.", UNROUTED)))
        return list({(each.recipient, each.message_id, each.digest): each for each in alerts}.values())

    def _unanswered(self) -> Iterable[str]:
        for each in self.requests.values():
            if each.answered is None:
                yield f"{each.request_id} ({each.srv}) has no response"
            if each.reply_to and not self.replies[each.request_id]:
                yield f"{each.request_id} ({each.srv}) has no reply"

    def _untold(self) -> Iterable[str]:
        arrived = Counter((each.recipient, each.code, each.subject) for each in self.alerts)
        for owed, count in (self._outcomes() + self.owed - arrived).items():
            yield f"{count} of {owed} did not come"

    def _outcomes(self) -> Counter[Owed]:
        """Say which outcome alerts are owed, by the response codes that arrived (wire contract §5)."""
        owed: Counter[Owed] = Counter()
        for each in self.requests.values():
            if each.code is not None and (code := outcome_alert(each.srv, each.code)):
                owed[each.request_id.partition(":")[0], code, each.request_id] += 1
        return owed

    def _unreceived(self, evidence: Evidence) -> Iterable[str]:
        received = {(each.message_id, each.digest) for each in self.arrivals.values()}
        for row in evidence.outbox:
            if row.finished and row.kind in ("alert", "response") and (row.message_id, row.digest) not in received:
                yield f"outbox {row.id}, {row.kind} {row.message_id}: published, and nobody received it"

    def _poisoned(self) -> Iterable[str]:
        return (f"in quarantine: {each}" for each in self.quarantined if each in self.requests)

    def _told_twice(self) -> Iterable[str]:
        told = Counter((each.recipient, each.code, each.subject, each.content) for each in self.alerts)
        for (recipient, code, subject, _), count in told.items():
            if count > 1:
                yield f"{recipient} was told {code} of {subject} {count} times"
        strict = {*PER_ACTIVATION, *OUTCOMES}
        arrived = Counter((each.recipient, each.code, each.subject) for each in self.alerts if each.code in strict)
        for unowed, count in (arrived - self.owed - self._outcomes()).items():
            request = self.requests.get(unowed[2])
            if request is None or request.code is not None:  # else nobody knows yet what is owed
                yield f"{count} of {unowed} more than owed"

    def _done_twice(self, evidence: Evidence) -> Iterable[str]:
        yield from (f"history: {line}" for line in evidence.repeated_history)
        for key, count in evidence.activations.items():
            if count > 1:
                yield f"activation {key} is recorded {count} times"
        for campaign, (said, recorded) in evidence.campaigns.items():
            if said != recorded:
                yield f"campaign {campaign} counts {said} results; {recorded} are recorded"

    def _ghosts(self, evidence: Evidence) -> Iterable[str]:
        known = {(row.message_id, row.digest) for row in evidence.outbox}
        for each in self.arrivals.values():
            if (each.message_id, each.digest) not in known:
                yield f"{each.queue}: {each.message_id} ({each.code}) is not in the outbox"
            elif not _has_cause(each, evidence):
                yield f"{each.queue}: {each.message_id} ({each.code} of {each.subject}) has no cause in the database"

    def _inversions(self, evidence: Evidence) -> Iterable[str]:
        queues: dict[str, list[Arrival]] = {}
        for each in sorted(self.arrivals.values(), key=lambda one: one.at):
            if not each.queue.startswith(UNROUTED):
                queues.setdefault(each.queue, []).append(each)
        numbers = {(row.kind, row.message_id, row.digest): row.id for row in reversed(evidence.outbox)}
        for queue, arrivals in queues.items():
            kind = "alert" if queue.startswith("alerts.") else "response"
            yield from _within(queue, [(each, numbers.get((kind, each.message_id, each.digest))) for each in arrivals])
            yield from self._between(queue, arrivals)

    def _between(self, queue: str, arrivals: list[Arrival]) -> Iterable[str]:
        """Find messages that arrived before one whose request was over when theirs was not even sent."""
        answered_first: tuple[int, Arrival] | None = None
        for each in reversed(arrivals):
            request = self.requests.get(each.subject)
            if request is None or request.contents > 1:  # what came of which content cannot be told from outside
                continue
            if answered_first is not None and answered_first[0] < request.sent:
                yield f"{queue}: {each.message_id} arrived before {answered_first[1].message_id}, which is older"
            if request.answered is not None and (answered_first is None or request.answered < answered_first[0]):
                answered_first = (request.answered, each)

    def _altered(self) -> Iterable[str]:
        variants = Counter((queue, message_id) for queue, message_id, _ in self.arrivals)
        subjects = {(each.queue, each.message_id): each.subject for each in self.arrivals.values()}
        for (queue, message_id), count in variants.items():
            request = self.requests.get(subjects[queue, message_id]) if queue.startswith("responses.") else None
            if count > (request.contents if request else 1):
                yield f"{queue}: {message_id} came with {count} different octets"


def _within(queue: str, numbered: list[tuple[Arrival, int | None]]) -> Iterable[str]:
    """Find messages that arrived before a lower number of the same block."""
    highest: dict[int, tuple[int, Arrival]] = {}
    for each, number in numbered:
        if number is None:
            continue
        before = highest.get(number // BLOCK)
        if before and number < before[0]:
            yield f"{queue}: {before[1].message_id} arrived before {each.message_id} of the same transaction"
        else:
            highest[number // BLOCK] = (number, each)


def _stuck(evidence: Evidence) -> Iterable[str]:
    yield from (f"outbox {row.id}, {row.kind} {row.message_id}" for row in evidence.outbox if not row.finished)
    yield from (f"inbox {request_id}" for request_id, answered in evidence.inbox.items() if not answered)


def _has_cause(arrival: Arrival, evidence: Evidence) -> bool:
    if arrival.queue.startswith("responses.") or arrival.code in OUTCOMES:
        return arrival.subject in evidence.inbox
    if arrival.code in PER_ACTIVATION:
        return (arrival.subject, "Success" if arrival.code == "N64" else "Failure") in evidence.activations
    return arrival.subject in evidence.campaigns


def outcome_alert(srv: str, code: str) -> str | None:
    """Name the alert that tells a request's outcome; None for a read that was served (wire contract §5)."""
    if re.fullmatch(r"E\d+", code):
        return "N904"
    if srv in ("11.5", "11.8", "11.9"):
        return None
    return {"11.6": "N903" if code == "W110601" else "N902", "11.7": "N910"}.get(srv, "N911")


def read(octets: bytes) -> tuple[str, str, bytes]:
    """Read code, subject and content of a response or an alert, with nothing of the product.

    Returns:
        Response code or alert code; RequestID, ServiceRequestID, DeviceID or CampaignID; an alert's content, canonical.
    """
    root = etree.fromstring(octets)
    alert = root.find(f"{SR}Body/{SR}DCCAlertMessage")
    if alert is None:
        return root.findtext(f"{SR}Header/{SR}ResponseCode", ""), root.findtext(f"{SR}Header/{SR}RequestID", ""), b""
    content = alert.find(f"{SR}DCCAlert")[0]
    subject = next(
        text
        for name in ("ServiceRequestID", "DeviceID", "CampaignID")
        if (text := content.findtext(f".//{SR}{name}")) is not None
    )
    return (
        alert.findtext(f"{SR}DCCAlertCode", ""),
        subject,
        hashlib.sha256(etree.tostring(content, method="c14n")).digest(),
    )
