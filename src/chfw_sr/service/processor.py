"""The sentence: octets → parsed → valid → verified → typed request → decision → rows and alerts in one transaction.

A batch of deliveries is one transaction. What is expensive (parsing, schema, signatures) happens off the event loop and
before the transaction begins. If a batch fails by a defect of ours, its messages are taken one by one, each in its own
transaction, so that only the one that fails suffers: it is quarantined, loudly. The caller acknowledges afterwards.
"""

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from structlog.contextvars import bound_contextvars

from chfw_sr.campaign.decision import Policy
from chfw_sr.campaign.facts import Needs
from chfw_sr.messages import (
    EUI,
    Alert,
    CampaignID,
    CampaignRequest,
    Payload,
    Rejected,
    RequestID,
    ResponseCode,
    ServiceRequest,
    ServiceRequestRejected,
    ServiceResponse,
)
from chfw_sr.wire import Attributed, Intake, Signer, TrustStore, Unattributed, write_response

from .conduct import Conduct
from .dispatch import Letter, Outgoing, dispatch
from .observer import Observer, Unobserved
from .outcome import DEFECT, Ending, Outcome
from .ports import (
    HEADER_CODE,
    HEADER_REASON,
    HEADER_RECEIVED,
    Claim,
    ClaimStatus,
    Clock,
    Delivery,
    InboxRecord,
    MessageKind,
    Quarantined,
    Store,
    Unavailable,
    UnitOfWork,
)
from .senders import attribute

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Taken:
    """A delivery on its way: its place in the batch and what the intake made of it."""

    place: int
    delivery: Delivery
    intake: Attributed | Unattributed


class Processor:
    """Processes batches of deliveries.

    Args:
        store: where everything is kept.
        intake: octets to verified requests.
        signer: the DCC's key.
        dcc: the DCC's EUI, target of every request.
        policy: the settings that decisions depend on.
        clock: gives the instant of each batch.
        observer: is told of every batch.
    """

    def __init__(
        self,
        *,
        store: Store,
        intake: Intake,
        signer: Signer,
        dcc: EUI,
        policy: Policy,
        clock: Clock,
        observer: Observer | None = None,
    ) -> None:
        self._store = store
        self._intake = intake
        self._signer = signer
        self._dcc = dcc
        self._policy = policy
        self._clock = clock
        self._observer = observer or Unobserved()
        self._trust = TrustStore(())
        self._trust_revision: int | None = None

    async def process(self, deliveries: Sequence[Delivery]) -> list[Outcome]:
        """Process a batch; when this returns, everything is committed and the deliveries may be acknowledged.

        Returns:
            One outcome a delivery, in their order.

        Raises:
            Unavailable: if the store is down or a race was lost; nothing happened, try again.
        """
        began = time.perf_counter()
        outcomes = await self._process(deliveries)
        self._observer.processed(outcomes, time.perf_counter() - began)
        for outcome in outcomes:
            _log(outcome)
        return outcomes

    async def _process(self, deliveries: Sequence[Delivery]) -> list[Outcome]:
        now = self._clock.now()
        trust = await self._current_trust()
        octets = [delivery.octets for delivery in deliveries]
        intakes = await asyncio.to_thread(self._intake.take, octets, trust, now)
        senders = map(attribute, deliveries, intakes)
        taken = [_Taken(*one) for one in zip(range(len(deliveries)), deliveries, senders, strict=True)]
        try:
            return await self._transact(taken, now)
        except Unavailable:
            raise
        except Exception:
            if len(taken) > 1:
                logger.exception("a batch of %d failed; its messages are taken one by one", len(taken))
        return [outcome for one in taken for outcome in await self._alone(one, now)]

    async def _alone(self, taken: _Taken, now: datetime) -> list[Outcome]:
        taken = replace(taken, place=0)
        try:
            return await self._transact([taken], now)
        except Unavailable:
            raise
        except Exception as error:
            with bound_contextvars(**_concerns(taken.intake)):
                logger.exception("a defect met %s; it is quarantined", taken.intake.request_id or "an unnamed message")
            reason = f"{type(error).__name__}: {error}"
            async with self._store.begin() as work:
                letter = await _quarantine(work, taken.delivery, DEFECT, reason, now)
                await dispatch(work, [letter], now=now, dcc=self._dcc, signer=self._signer)
                await work.commit()
            return [Outcome(Ending.QUARANTINED, DEFECT, taken.intake.request_id, taken.intake.srv, reason)]

    async def _current_trust(self) -> TrustStore:
        revision = await self._store.register.trust_revision()
        if revision != self._trust_revision:
            self._trust = TrustStore(await self._store.register.certificates())
            self._trust_revision = revision
        return self._trust

    async def _transact(self, taken: Sequence[_Taken], now: datetime) -> list[Outcome]:
        outcomes: dict[int, Outcome] = {}
        async with self._store.begin() as work:
            for batch in _without_repetition(taken):
                outcomes |= await self._settle(work, batch, now)
            await work.commit()
        return [outcomes[one.place] for one in taken]

    async def _settle(self, work: UnitOfWork, batch: Sequence[_Taken], now: datetime) -> dict[int, Outcome]:
        """Take messages that all have different RequestIDs, in order."""
        claims = {
            one.place: Claim(one.intake.request_id, one.intake.digest)
            for one in batch
            if isinstance(one.intake, Attributed)
        }
        claimed = dict(zip(claims, await work.claim(list(claims.values())), strict=True))
        new = [one.intake for one in batch if one.place in claims and claimed[one.place].status is ClaimStatus.NEW]
        await _lock_campaigns(work, new)
        outcomes: dict[int, Outcome] = {}
        outgoing: list[Outgoing] = []
        records: list[InboxRecord] = []
        for one in batch:
            intake = one.intake
            if isinstance(intake, Unattributed):
                outcomes[one.place] = await self._refuse_unattributed(work, one.delivery, intake, now, outgoing)
                continue
            answer = claimed[one.place]
            if answer.status is ClaimStatus.REPEAT:
                assert answer.response is not None
                assert answer.code is not None
                outgoing += _responses(one.delivery, intake, answer.code, answer.response)
                outcomes[one.place] = Outcome(Ending.REPEATED, answer.code, intake.request_id, intake.srv)
                continue
            conflict = answer.status is ClaimStatus.CONFLICT
            alerts: list[Alert] = []
            with bound_contextvars(**_concerns(intake)):
                outcome, response = await self._answer(work, intake, conflict, now, alerts)
            records.append(InboxRecord(claims[one.place], intake.srv, ResponseCode(outcome.code), response, now))
            outgoing += _responses(one.delivery, intake, ResponseCode(outcome.code), response)
            outgoing += alerts
            outcomes[one.place] = outcome
        await work.finish(records)
        await dispatch(work, outgoing, now=now, dcc=self._dcc, signer=self._signer)
        return outcomes

    async def _answer(
        self, work: UnitOfWork, intake: Attributed, conflict: bool, now: datetime, alerts: list[Alert]
    ) -> tuple[Outcome, bytes]:
        """Decide one verified request: its outcome, its Service Response in final octets, its alerts."""
        conduct = Conduct(work, now, self._policy, alerts)
        try:
            decision = await conduct.request(self._admit(intake, conflict))
            assert decision.code is not None
            response = self._respond(intake.request_id, intake.srv, decision.code, decision.payload, now)
            outcome = Outcome(Ending.DONE, decision.code, intake.request_id, intake.srv)
        except Rejected as rejection:
            alerts.append(_rejection_alert(intake, rejection))
            response = self._respond(intake.request_id, intake.srv, rejection.code, rejection.fault(), now)
            outcome = Outcome(Ending.REFUSED, rejection.code, intake.request_id, intake.srv, rejection.reason)
        return replace(outcome, alerts=len(alerts), campaign_id=_campaign_of(intake)), response

    def _admit(self, intake: Attributed, conflict: bool) -> ServiceRequest:
        """Check what lies between the signature and the User's role: schema verdict, E904, E903 (wire contract §6)."""
        if isinstance(intake.outcome, Rejected):
            raise intake.outcome
        if intake.request_id.target != self._dcc:
            raise Rejected(
                ResponseCode.E904, f"the RequestID names {intake.request_id.target} as target; this DCC is {self._dcc}"
            )
        if conflict:
            raise Rejected(ResponseCode.E903, f"the RequestID {intake.request_id} was used before, with other content")
        return intake.outcome

    def _respond(
        self, request_id: RequestID, srv: str | None, code: ResponseCode, payload: Payload | None, now: datetime
    ) -> bytes:
        response = ServiceResponse(request_id=request_id, code=code, at=now, srv=srv, payload=payload)
        return write_response(response, self._signer)

    async def _refuse_unattributed(
        self, work: UnitOfWork, delivery: Delivery, intake: Unattributed, now: datetime, outgoing: list[Outgoing]
    ) -> Outcome:
        """Quarantine what nobody can be held to; whoever sent it is answered on its `reply_to` alone."""
        rejection = intake.rejection
        if delivery.reply_to and intake.request_id:
            response = self._respond(intake.request_id, intake.srv, rejection.code, rejection.fault(), now)
            outgoing.append(
                _reply(delivery, delivery.reply_to, intake.request_id, intake.srv, rejection.code, response)
            )
        outgoing.append(await _quarantine(work, delivery, rejection.code, rejection.reason, now))
        return Outcome(Ending.QUARANTINED, rejection.code, intake.request_id, intake.srv, rejection.reason)


async def _lock_campaigns(work: UnitOfWork, intakes: Sequence[Attributed | Unattributed]) -> None:
    """Lock the campaigns that requests name, where there are several, in the order in which everybody does it."""
    named = {campaign_id for one in intakes if (campaign_id := _campaign_of(one)) is not None}
    if len(named) > 1:
        for campaign_id in sorted(named):
            await work.facts(Needs(campaign=campaign_id))


def _campaign_of(intake: Attributed | Unattributed) -> CampaignID | None:
    """Give the campaign that a request names; None if it names none or could not be read."""
    request = intake.outcome if isinstance(intake, Attributed) else None
    if isinstance(request, ServiceRequest) and isinstance(request.body, CampaignRequest):
        return request.body.campaign_id
    return None


def _concerns(intake: Attributed | Unattributed) -> dict[str, str]:
    """Give what lines of the log about a message say of it."""
    named = {"request_id": intake.request_id, "campaign_id": _campaign_of(intake)}
    return {name: str(value) for name, value in named.items() if value is not None}


def _log(outcome: Outcome) -> None:
    """Write a line about a message whose fate is committed."""
    named = {
        "request_id": outcome.request_id,
        "campaign_id": outcome.campaign_id,
        "srv": outcome.srv,
        "code": outcome.code,
        "reason": outcome.reason,
    }
    level = logging.WARNING if outcome.ending is Ending.QUARANTINED else logging.INFO
    if logger.isEnabledFor(level):
        fields = {name: str(value) for name, value in named.items() if value is not None}
        logger.log(level, "request %s", outcome.ending.lower(), extra=fields | {"alerts": outcome.alerts})


def _without_repetition(taken: Sequence[_Taken]) -> Iterator[Sequence[_Taken]]:
    """Deal a batch out where a RequestID comes again: the later one must find the earlier one finished.

    The first part has every RequestID, so that all are claimed in one go: processes whose batches share RequestIDs then
    wait for each other in one direction only.
    """
    parts: list[list[_Taken]] = []
    seen: Counter[RequestID] = Counter()
    for one in taken:
        part = 0
        if isinstance(one.intake, Attributed):
            part = seen[one.intake.request_id]
            seen[one.intake.request_id] += 1
        if part == len(parts):
            parts.append([])
        parts[part].append(one)
    yield from parts


def _rejection_alert(intake: Attributed, rejection: Rejected) -> Alert:
    return Alert(
        recipient=intake.request_id.originator,
        body=ServiceRequestRejected(
            request_id=intake.request_id,
            srv=intake.srv,
            response_code=rejection.code,
            reason=rejection.reason,
        ),
    )


def _responses(delivery: Delivery, intake: Attributed, code: str, octets: bytes) -> list[Outgoing]:
    """Address a Service Response: to the originator's queue, and to `reply_to` where one was given."""
    answer = _reply(delivery, intake.request_id.originator, intake.request_id, intake.srv, code, octets)
    to_originator = replace(answer, kind=MessageKind.RESPONSE)
    return [to_originator, replace(answer, recipient=delivery.reply_to)] if delivery.reply_to else [to_originator]


def _reply(
    delivery: Delivery, recipient: str, request_id: RequestID, srv: str | None, code: str, octets: bytes
) -> Letter:
    return Letter(
        kind=MessageKind.REPLY,
        recipient=recipient,
        message_id=str(request_id.response_id()),
        type=srv or "",
        octets=octets,
        correlation_id=delivery.correlation_id or str(request_id),
        headers={HEADER_CODE: code},
    )


async def _quarantine(work: UnitOfWork, delivery: Delivery, code: str, reason: str, now: datetime) -> Letter:
    await work.quarantine(
        [
            Quarantined(
                octets=delivery.octets,
                code=code,
                reason=reason,
                received_at=now,
                reply_to=delivery.reply_to,
                correlation_id=delivery.correlation_id,
                source=delivery.source,
            )
        ]
    )
    return Letter(
        kind=MessageKind.QUARANTINE,
        recipient="",
        message_id=delivery.message_id or "",
        type=code,
        octets=delivery.octets,
        correlation_id=delivery.correlation_id,
        headers={HEADER_CODE: code, HEADER_REASON: reason, HEADER_RECEIVED: now.isoformat()},
    )
