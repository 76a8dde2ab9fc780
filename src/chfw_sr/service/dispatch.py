"""Turns what is to be told into final octets and puts it into the outbox.

Ids are reserved first, because an alert's counter is its outbox id; then everything is rendered and signed; then it is
stored. So the relay, whenever it repeats itself, sends the same octets. Of many messages, the first ones are stored
while the next ones are written.

An alert to a User with e-mail is written once and stored for each of its channels: the same name, the same octets.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from chfw_sr.messages import EUI, Alert
from chfw_sr.quick import quick
from chfw_sr.wire import Signer, write_alerts

from .beside import MUCH, Meanwhile, beside
from .mailing import NOBODY
from .ports import Channels, MessageKind, OutboxMessage, UnitOfWork

TOGETHER = 1_000
"""Messages that are written in one go: while the database is told of these, the next ones are."""


@quick
@dataclass(frozen=True, slots=True)
class Letter:
    """A message other than an alert, in final octets already: a Service Response, or input to be quarantined."""

    kind: MessageKind
    recipient: str
    message_id: str
    type: str
    octets: bytes
    correlation_id: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


Outgoing = Alert | Letter


async def dispatch(
    work: UnitOfWork,
    outgoing: Sequence[Outgoing],
    *,
    now: datetime,
    dcc: EUI,
    signer: Signer,
    mailed: Mapping[EUI, Channels] = NOBODY,
) -> None:
    """Write, sign and enqueue messages, in order.

    Args:
        work: the open unit of work.
        outgoing: what to tell, in the order in which it is to be published.
        now: becomes the alerts' ResponseDateTime.
        dcc: the DCC's EUI, originator of every alert.
        signer: the DCC's key.
        mailed: the Users whom alerts reach by e-mail; all others read their queues.

    Source: wire contract §1 (ResponseID of an alert) and §5.
    """
    if not outgoing:
        return
    next_id = await work.reserve(len(outgoing) + (_copies(outgoing, mailed) if mailed else 0))
    if len(outgoing) < MUCH:
        await work.enqueue(_write(outgoing, next_id, now, dcc, signer, mailed))
        return
    ready: list[OutboxMessage] = []
    async with Meanwhile(work.tell()) as telling:
        for begin in range(0, len(outgoing), TOGETHER):
            some = outgoing[begin : begin + TOGETHER]
            ready += await beside(_write, some, next_id + len(ready), now, dcc, signer, mailed)
            if telling.is_over:
                await telling.then(_put(work, ready))
                next_id, ready = next_id + len(ready), []
        await telling.over()
    await work.enqueue(ready)


async def _put(work: UnitOfWork, messages: Sequence[OutboxMessage]) -> None:
    await work.enqueue(messages)
    await work.tell()


def _copies(outgoing: Sequence[Outgoing], mailed: Mapping[EUI, Channels]) -> int:
    """Count the alerts that go out twice."""
    return sum(not isinstance(each, Letter) and mailed.get(each.recipient) is Channels.BOTH for each in outgoing)


def _write(
    outgoing: Sequence[Outgoing], first: int, now: datetime, dcc: EUI, signer: Signer, mailed: Mapping[EUI, Channels]
) -> Sequence[OutboxMessage]:
    # Asked of a message of pydantic, `isinstance` takes ten times as long to say no.
    numbered = [(number, item) for number, item in enumerate(outgoing, first) if not isinstance(item, Letter)]
    written = iter(write_alerts(numbered, dcc, now, signer))
    messages = [
        _letter(item, number, now) if isinstance(item, Letter) else _alert(item, number, now, *next(written))
        for number, item in enumerate(outgoing, first)
    ]
    return _deal(messages, mailed) if mailed else messages


def _deal(messages: Sequence[OutboxMessage], mailed: Mapping[EUI, Channels]) -> Sequence[OutboxMessage]:
    """Give each alert the channels of its recipient; copies follow with the ids that are left."""
    dealt, copies = list(messages), list[OutboxMessage]()
    next_id = messages[-1].id + 1
    for place, message in enumerate(messages):
        channels = mailed.get(EUI(message.recipient)) if message.kind is MessageKind.ALERT else None
        if channels is Channels.EMAIL:
            dealt[place] = replace(message, kind=MessageKind.EMAIL)
        elif channels is Channels.BOTH:
            copies.append(replace(message, kind=MessageKind.EMAIL, id=next_id + len(copies)))
    return dealt + copies


def _alert(alert: Alert, number: int, now: datetime, message_id: str, octets: bytes) -> OutboxMessage:
    return OutboxMessage(
        id=number,
        kind=MessageKind.ALERT,
        recipient=alert.recipient,
        message_id=message_id,
        type=alert.code,
        octets=octets,
        created_at=now,
    )


def _letter(letter: Letter, number: int, now: datetime) -> OutboxMessage:
    return OutboxMessage(
        id=number,
        kind=letter.kind,
        recipient=letter.recipient,
        message_id=letter.message_id or f"{letter.kind}:{number}",
        type=letter.type,
        octets=letter.octets,
        created_at=now,
        correlation_id=letter.correlation_id,
        headers=letter.headers,
    )
