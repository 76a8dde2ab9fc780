"""The sentence: octets → parsed → valid → verified → typed request → decision → rows and alerts in one transaction.

A batch of deliveries is one transaction. What is expensive (parsing, schema, signatures) happens off the event loop and
before the transaction begins: `take` does it, while the batch before may still be in its transaction, and `settle` does
the rest. If a batch fails by a defect of ours, its messages are taken one by one, each in its own transaction, so that
only the one that fails suffers: it is quarantined, loudly. The caller acknowledges afterwards.
"""

import logging
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime

from structlog.contextvars import bound_contextvars

from chfw_sr.campaign.decision import Policy
from chfw_sr.campaign.facts import Needs
from chfw_sr.messages import EUI, Rejected, RequestID, ResponseCode, ServiceRequest, ServiceResponse
from chfw_sr.wire import Attributed, Intake, Signer, Unattributed

from .answers import Answer, campaign_of, concerns, rejection_alert, set_aside, write
from .apart import Apart
from .batches import Batch, Settled, Taken
from .beside import MUCH, Meanwhile, beside
from .conduct import Conduct, anticipate
from .correspondents import Correspondents, read_correspondents
from .dispatch import dispatch
from .observer import Observer, Unobserved
from .outcome import DEFECT, Ending, Outcome
from .ports import Claim, Claimed, ClaimStatus, Clock, Delivery, Quarantined, Store, Unavailable, UnitOfWork
from .quota import Fairness, Gate, Turn
from .senders import attribute
from .throttling import withhold

logger = logging.getLogger(__name__)

_LEVELS = {Ending.QUARANTINED: logging.WARNING, Ending.DROPPED: logging.DEBUG}
"""Of the line about each message; of those that are dropped, one line a batch is enough."""

MOST_KEPT = 20_000
"""Service Responses that are kept until all of a batch is decided, counted with the lines of what they tell."""

MOST_CHANGES = 10
"""How often a batch may find that the register has changed since it was taken in."""


class _Outdated(Exception):  # noqa: N818 - it names what happened
    """The register is another one than when a batch was taken in: somebody may be trusted now, or not any more."""


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
        fairness: how much one sender may send; without limits if absent.
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
        fairness: Fairness | None = None,
    ) -> None:
        self._store = store
        self._apart = Apart(intake)
        self._signer = signer
        self._dcc = dcc
        self._policy = policy
        self._clock = clock
        self._observer = observer or Unobserved()
        self._fairness = fairness or Fairness()
        self._gate = Gate(self._fairness)
        self._known: Correspondents | None = None

    async def process(self, deliveries: Sequence[Delivery]) -> Sequence[Outcome]:
        """Process a batch; when this returns, everything is committed and the deliveries may be acknowledged.

        Returns:
            One outcome a delivery, in their order.

        Raises:
            Unavailable: if the store is down or a race was lost; nothing happened, try again.
        """
        settled = await self.settle(await self.take(deliveries))
        self.report(settled)
        return settled.outcomes

    async def take(self, deliveries: Sequence[Delivery]) -> Batch:
        """Take a batch in: parse, validate, verify, read. Nothing is changed, and nothing refused yet.

        Whom we trust is as it was when it was last read; to settle a batch, it has to be so still.

        Raises:
            Unavailable: if the store, which has to be asked for that at first, is down.
        """
        began = time.perf_counter()
        known, now = self._known or await self._learn(), self._clock.now()
        defects: dict[int, Exception] = {}
        intakes: dict[int, Attributed | Unattributed] = {}
        try:
            octets = [delivery.octets for delivery in deliveries]
            intakes |= enumerate(await self._apart.take(octets, known.trust, now))
        except Exception:  # the intake knows no fault of theirs that it raises
            logger.exception("the intake of %d message(s) failed; they are taken one by one", len(deliveries))
            for place, delivery in enumerate(deliveries):
                try:
                    (intakes[place],) = await self._apart.take([delivery.octets], known.trust, now)
                except Exception as error:
                    logger.exception("a defect met an unnamed message; it is quarantined")
                    defects[place] = error
        taken = [Taken(place, deliveries[place], attribute(deliveries[place], each)) for place, each in intakes.items()]
        return Batch(deliveries, taken, defects, known, time.perf_counter() - began)

    async def settle(self, batch: Batch, waits: Callable[[bool], None] = lambda _: None) -> Settled:
        """Decide, change, and put into the outbox what is to be told; when this returns, everything is committed.

        Args:
            batch: what was taken in.
            waits: called with True when the database has the word for some time, and with False when that is over.

        Raises:
            Unavailable: if the store is down or a race was lost; nothing happened, try again.
        """
        began = time.perf_counter()
        now = self._clock.now()
        for _ in range(MOST_CHANGES):
            try:
                settled = await self._settle_taken(batch, now, waits)
                break
            except _Outdated:
                logger.info("the register has changed: %d message(s) are taken in again", len(batch.deliveries))
                await self._learn()
                batch = await self.take(batch.deliveries)
        else:
            raise Unavailable("the register changes faster than a batch is taken in")
        for place, error in batch.defects.items():
            settled[place] = await self._defect(batch.deliveries[place], error, now)
        outcomes = [settled[place] for place in range(len(batch.deliveries))]
        return Settled(outcomes, batch.seconds + time.perf_counter() - began)

    def report(self, settled: Settled) -> None:
        """Tell the observer and the log what became of a batch; nothing waits for that but who reads it."""
        outcomes = settled.outcomes
        self._observer.processed(outcomes, settled.seconds)
        if dropped := sum(outcome.ending is Ending.DROPPED for outcome in outcomes):
            logger.warning("a flood that nobody can be held to: %d of %d messages were dropped", dropped, len(outcomes))
        for outcome in outcomes:
            _log(outcome)

    async def _settle_taken(self, batch: Batch, now: datetime, waits: Callable[[bool], None]) -> dict[int, Outcome]:
        if not batch.taken:
            return {}
        try:
            return await self._transact(batch.taken, batch.known, now, waits)
        except (Unavailable, _Outdated):
            raise
        except Exception:
            if len(batch.taken) > 1:
                logger.exception("a batch of %d failed; its messages are taken one by one", len(batch.taken))
        return {one.place: await self._alone(one, batch.known, now, waits) for one in batch.taken}

    async def _alone(
        self, taken: Taken, known: Correspondents, now: datetime, waits: Callable[[bool], None]
    ) -> Outcome:
        try:
            return (await self._transact([taken], known, now, waits))[taken.place]
        except (Unavailable, _Outdated):
            raise
        except Exception as error:
            with bound_contextvars(**concerns(taken.intake)):
                logger.exception("a defect met %s; it is quarantined", taken.intake.request_id or "an unnamed message")
            return await self._defect(taken.delivery, error, now, taken.intake.request_id, taken.intake.srv)

    async def _defect(
        self,
        delivery: Delivery,
        error: Exception,
        now: datetime,
        request_id: RequestID | None = None,
        srv: str | None = None,
    ) -> Outcome:
        """Quarantine what a defect of ours met."""
        reason = f"{type(error).__name__}: {error}"
        async with self._store.begin() as work:
            kept, letter = set_aside(delivery, DEFECT, reason, now)
            await work.quarantine([kept])
            await dispatch(work, [letter], now=now, dcc=self._dcc, signer=self._signer)
            await work.commit()
        return Outcome(Ending.QUARANTINED, DEFECT, request_id, srv, reason)

    async def _learn(self) -> Correspondents:
        self._known = await read_correspondents(self._store.register)
        return self._known

    async def _transact(
        self, taken: Sequence[Taken], known: Correspondents, now: datetime, waits: Callable[[bool], None]
    ) -> dict[int, Outcome]:
        outcomes: dict[int, Outcome] = {}
        turn = self._gate.open(now)
        async with self._store.begin() as work:
            for batch in _without_repetition(taken):
                outcomes |= await self._settle(work, batch, known, now, turn, waits)
            told = await withhold(work, turn.refused, now, self._fairness.alert_interval)
            await dispatch(work, told, now=now, dcc=self._dcc, signer=self._signer, mailed=known.mailed)
            waits(True)
            await work.commit()
        turn.keep()
        return outcomes

    async def _settle(
        self,
        work: UnitOfWork,
        batch: Sequence[Taken],
        known: Correspondents,
        now: datetime,
        turn: Turn,
        waits: Callable[[bool], None],
    ) -> dict[int, Outcome]:
        """Take messages that all have different RequestIDs, in order."""
        claims = {
            one.place: Claim(one.intake.request_id, one.intake.digest)
            for one in batch
            if isinstance(one.intake, Attributed)
        }
        claimed = dict(zip(claims, await work.claim(list(claims.values())), strict=True))
        if await work.trust_revision() != known.revision:
            raise _Outdated
        admitted = {
            one.place: self._admit(one.intake, claimed[one.place].status, turn)
            for one in batch
            if isinstance(one.intake, Attributed) and claimed[one.place].status is not ClaimStatus.REPEAT
        }
        requests = {place: each for place, each in admitted.items() if isinstance(each, ServiceRequest)}
        waits(True)
        needs = dict(zip(requests, await anticipate(work, list(requests.values())), strict=True))
        waits(False)
        answers: list[Answer] = []
        unwritten: list[Answer] = []
        aside: list[Quarantined] = []
        kept = 0
        for one in batch:
            intake = one.intake
            if isinstance(intake, Unattributed):
                answers.append(_refuse_unattributed(one.delivery, intake, now, aside, turn))
            elif one.place in admitted:
                answer = await self._answer(
                    work, one.delivery, intake, admitted[one.place], needs.get(one.place), now, turn
                )
                answer.claim = claims[one.place]
                answers.append(answer)
            else:
                answers.append(_repeat(one.delivery, intake, claimed[one.place]))
            unwritten.append(answers[-1])
            kept += answers[-1].size
            if kept >= MOST_KEPT:
                await beside(write, unwritten, self._signer)
                unwritten, kept = [], 0
        if len(unwritten) < MUCH:
            write(unwritten, self._signer)
        else:
            async with Meanwhile(work.tell()) as telling:
                await beside(write, unwritten, self._signer)
                await telling.over()
        await work.quarantine(aside)
        await work.finish([record for each in answers if (record := each.record(now)) is not None])
        outgoing = [each for answer in answers for each in answer.outgoing()]
        await dispatch(work, outgoing, now=now, dcc=self._dcc, signer=self._signer, mailed=known.mailed)
        return {one.place: answer.outcome for one, answer in zip(batch, answers, strict=True)}

    async def _answer(
        self,
        work: UnitOfWork,
        delivery: Delivery,
        intake: Attributed,
        admitted: ServiceRequest | Rejected,
        needs: Needs | None,
        now: datetime,
        turn: Turn,
    ) -> Answer:
        """Decide one verified request: its outcome, its Service Response, its alerts."""
        conduct = Conduct(work, now, self._policy)
        name, srv, campaign_id = intake.request_id, intake.srv, campaign_of(intake)
        code: ResponseCode | None
        try:
            if isinstance(admitted, Rejected):
                raise admitted
            decision = await conduct.request(admitted, needs)
            code, payload, reason, ending = decision.code, decision.payload, None, Ending.DONE
            assert code is not None
        except Rejected as rejection:
            told = turn.refused if rejection.code is ResponseCode.E906 else conduct.alerts
            told.append(rejection_alert(intake, rejection))
            code, payload, reason, ending = rejection.code, rejection.fault(), rejection.reason, Ending.REFUSED
        return Answer(
            delivery,
            Outcome(ending, code, name, srv, reason, len(conduct.alerts), campaign_id),
            ServiceResponse(request_id=name, code=code, at=now, srv=srv, payload=payload),
            alerts=conduct.alerts,
        )

    def _admit(self, intake: Attributed, status: ClaimStatus, turn: Turn) -> ServiceRequest | Rejected:
        """Check what lies between signature and role: quota, schema verdict, E904, E903 (wire contract §6)."""
        if not turn.admits(intake.request_id.originator):
            return Rejected(ResponseCode.E906, f"{intake.request_id.originator} sends more than its quota")
        if isinstance(intake.outcome, Rejected):
            return intake.outcome
        if intake.request_id.target != self._dcc:
            return Rejected(
                ResponseCode.E904, f"the RequestID names {intake.request_id.target} as target; this DCC is {self._dcc}"
            )
        if status is ClaimStatus.CONFLICT:
            return Rejected(ResponseCode.E903, f"the RequestID {intake.request_id} was used before, with other content")
        return intake.outcome


def _refuse_unattributed(
    delivery: Delivery, intake: Unattributed, now: datetime, aside: list[Quarantined], turn: Turn
) -> Answer:
    """Quarantine what nobody can be held to, if there is room; it is answered on its `reply_to` alone."""
    rejection, request_id, srv = intake.rejection, intake.request_id, intake.srv
    if not turn.keeps():
        return Answer(delivery, Outcome(Ending.DROPPED, rejection.code, request_id, srv, rejection.reason))
    kept, letter = set_aside(delivery, rejection.code, rejection.reason, now)
    aside.append(kept)
    outcome = Outcome(Ending.QUARANTINED, rejection.code, request_id, srv, rejection.reason)
    if not delivery.reply_to or request_id is None:
        return Answer(delivery, outcome, letter=letter)
    response = ServiceResponse(request_id=request_id, code=rejection.code, at=now, srv=srv, payload=rejection.fault())
    return Answer(delivery, outcome, response, letter=letter)


def _repeat(delivery: Delivery, intake: Attributed, claimed: Claimed) -> Answer:
    """Answer again with the stored response."""
    assert claimed.response is not None
    assert claimed.code is not None
    outcome = Outcome(Ending.REPEATED, claimed.code, intake.request_id, intake.srv)
    return Answer(delivery, outcome, octets=claimed.response)


def _log(outcome: Outcome) -> None:
    """Write a line about a message whose fate is committed.

    There is one for each: so the record is made here, where it comes from being known.
    """
    level = _LEVELS.get(outcome.ending, logging.INFO)
    if logger.isEnabledFor(level):
        named = {
            "request_id": outcome.request_id,
            "campaign_id": outcome.campaign_id,
            "srv": outcome.srv,
            "code": outcome.code,
            "reason": outcome.reason,
        }
        fields: dict[str, object] = {name: str(value) for name, value in named.items() if value is not None}
        fields["alerts"] = outcome.alerts
        told = (outcome.ending.lower(),)
        line = _log.__code__.co_firstlineno
        logger.handle(logger.makeRecord(logger.name, level, __file__, line, "request %s", told, None, "_log", fields))


def _without_repetition(taken: Sequence[Taken]) -> Iterator[Sequence[Taken]]:
    """Deal a batch out where a RequestID comes again: the later one must find the earlier one finished.

    The first part has every RequestID, so that all are claimed in one go: processes whose batches share RequestIDs then
    wait for each other in one direction only.
    """
    parts: list[list[Taken]] = []
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
