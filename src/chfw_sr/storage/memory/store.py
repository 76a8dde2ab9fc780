"""The store in memory: its unit of work, and the three doors put together."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from chfw_sr.campaign.changes import Change
from chfw_sr.campaign.clock import due_at
from chfw_sr.campaign.facts import Facts, Needs
from chfw_sr.messages import EUI, CampaignID
from chfw_sr.service.outcome import DEFECT
from chfw_sr.service.ports import (
    Cause,
    Claim,
    Claimed,
    ClaimStatus,
    InboxRecord,
    Lease,
    Outbox,
    OutboxMessage,
    Quarantined,
    Queries,
    Register,
    Throttle,
    Unavailable,
    UnitOfWork,
)

from .changes import carry_out
from .doors import MemoryOutbox, MemoryRegister
from .facts import answer, by_lead_supplier, remaining_hubs
from .queries import MemoryQueries
from .state import Content, Post, State
from .writing import Database

_SERVICE = "service"
"""The one row of `State.beats`."""


class MemoryStore:
    """Everything in memory, for one process and one event loop; a `Store`."""

    def __init__(self) -> None:
        self._database = Database()
        self._outbox = MemoryOutbox(self._database)

    @property
    def outbox(self) -> Outbox:
        """The relay's door."""
        return self._outbox

    @property
    def register(self) -> Register:
        """Who and what there is."""
        return MemoryRegister(self._database)

    @property
    def queries(self) -> Queries:
        """What happened."""
        return MemoryQueries(self._database.committed)

    def begin(self) -> AbstractAsyncContextManager[UnitOfWork]:
        """Open a unit of work. From its first use to its end, every other writer waits."""
        return self._begin()

    @asynccontextmanager
    async def _begin(self) -> AsyncIterator[UnitOfWork]:
        work = MemoryUnitOfWork(self._database)
        try:
            yield work
        finally:
            work.end()

    async def due_campaigns(self, now: datetime, limit: int) -> Sequence[CampaignID]:
        """Give up to `limit` campaigns of which a clock-driven step is due, the longest due first."""
        return [campaign_id for at, campaign_id in self._due() if at <= now][:limit]

    async def next_due(self) -> datetime | None:
        """Give when the next clock-driven step of any campaign is due."""
        return next((at for at, _ in self._due()), None)

    async def due_throttles(self, now: datetime, interval: timedelta, limit: int) -> Sequence[EUI]:
        """Give up to `limit` Users from whom alerts are withheld that are due, or due later than an interval hence."""
        known = self._database.committed.throttles.values()
        return sorted(each.user for each in known if each.withheld and not now < each.due_at <= now + interval)[:limit]

    async def purge_quarantine(self, keep: int, limit: int) -> int:
        """Delete up to `limit` quarantined inputs older than the newest `keep`, but none that met a defect of ours."""
        async with self._database.write() as state:
            kept = [number for number, item in state.quarantine.items() if item.code != DEFECT]
            old = sorted(kept, reverse=True)[keep : keep + limit]
            for number in old:
                del state.quarantine[number]
        return len(old)

    async def mark_replayed(self, item_id: int, at: datetime) -> None:
        """Note that a quarantined input was sent in again."""
        async with self._database.write() as state:
            if item_id in state.quarantine:
                state.quarantine[item_id] = replace(state.quarantine[item_id], replayed_at=at)

    async def lease(self, name: str, holder: str, now: datetime, seconds: float) -> Lease | None:
        """Take a lease, or renew it; None if another holder has it."""
        length = timedelta(seconds=seconds)
        async with self._database.write() as state:
            known = state.leases.get(name)
            if known and known.holder != holder and now < known.until <= now + 2 * length:
                return None
            fence = 1 if known is None else known.fence + (known.holder != holder)
            state.leases[name] = Lease(name, holder, fence, now + length)
            return state.leases[name]

    async def release(self, lease: Lease) -> None:
        """Give a lease back before its time; does nothing if it has changed hands."""
        async with self._database.write() as state:
            known = state.leases.get(lease.name)
            if known and known.fence == lease.fence:
                state.leases[lease.name] = replace(known, holder="", until=datetime.min.replace(tzinfo=UTC))

    async def close(self) -> None:
        """Do nothing: there are no connections."""

    def _due(self) -> list[tuple[datetime, CampaignID]]:
        campaigns = self._database.committed.campaigns.values()
        return sorted((at, each.campaign_id) for each in campaigns if (at := due_at(each)) is not None)


class MemoryUnitOfWork:
    """One transaction over a draft of all tables; a `UnitOfWork`.

    Args:
        database: what to change in the end.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._draft: State | None = None
        self._ended = False
        self._unfinished: set[Claim] = set()
        self._remaining: dict[CampaignID, Sequence[EUI]] = {}

    async def claim(self, claims: Sequence[Claim]) -> Sequence[Claimed]:
        """Claim RequestIDs, in bulk; the answers are in the order of the claims."""
        state = await self._state()
        return [self._claim(state, claim) for claim in claims]

    async def trust_revision(self) -> int:
        """Give the register's revision, as this transaction sees it."""
        return (await self._state()).numbers.get("trust", 0)

    def _claim(self, state: State, claim: Claim) -> Claimed:
        contents = state.inbox.get(claim.request_id, ())
        for content in contents:
            if content.digest == claim.digest:
                answer = (content.record.response, content.record.code) if content.record else ()
                return Claimed(ClaimStatus.REPEAT, *answer)
        self._unfinished.add(claim)
        state.inbox[claim.request_id] = (*contents, Content(state.next_number("inbox"), claim.digest))
        return Claimed(ClaimStatus.CONFLICT if contents else ClaimStatus.NEW)

    async def finish(self, records: Sequence[InboxRecord]) -> None:
        """Store outcome and response of requests that were claimed here as `NEW` or `CONFLICT`.

        Raises:
            RuntimeError: if one was not claimed here, or is finished already.
        """
        state = await self._state()
        for record in records:
            claim = record.claim
            if claim not in self._unfinished:
                raise RuntimeError(f"{claim.request_id} is not a claim of this unit of work that is open")
            self._unfinished.remove(claim)
            state.inbox[claim.request_id] = tuple(
                replace(content, record=record) if content.digest == claim.digest else content
                for content in state.inbox[claim.request_id]
            )

    async def anticipate(self, needs: Sequence[Needs]) -> None:  # noqa: ARG002 - the port's
        """Do nothing but wait for one's turn: whatever is asked for is in memory."""
        await self._state()

    async def facts(self, needs: Needs) -> Facts:
        """Answer needs; what the transaction changed before is seen. There is one writer, so all is locked."""
        state = await self._state()
        if not needs.remaining or needs.campaign is None or needs.campaign not in state.campaigns:
            return answer(state, needs, {})
        hubs = remaining_hubs(state, needs.campaign)
        self._remaining[needs.campaign] = [hub.eui for hub in hubs]
        return answer(state, needs, by_lead_supplier(hubs))

    async def apply(self, changes: Sequence[Change], cause: Cause) -> None:
        """Carry out changes in order and write the history from them."""
        state = await self._state()
        for change in changes:
            carry_out(state, change, cause, self._remaining)

    async def tell(self) -> None:
        """Do nothing: nothing is kept back."""

    async def reserve(self, count: int) -> int:
        """Reserve `count` consecutive outbox ids, never given before and never again; give the first.

        Raises:
            ValueError: if the count is not positive.
        """
        if count < 1:
            raise ValueError(f"cannot reserve {count} ids")
        await self._state()
        return self._database.reserve(count)

    async def enqueue(self, messages: Sequence[OutboxMessage]) -> None:
        """Put messages into the outbox.

        Raises:
            RuntimeError: if an id is there already.
        """
        state = await self._state()
        for message in messages:
            if message.id in state.pending or message.id in state.finished:
                raise RuntimeError(f"outbox id {message.id} is used already")
            state.pending[message.id] = Post(message)

    async def quarantine(self, items: Sequence[Quarantined]) -> None:
        """Keep input that could not be attributed."""
        state = await self._state()
        for item in items:
            number = state.next_number("quarantine")
            state.quarantine[number] = replace(item, id=number)

    async def throttles(self, users: Sequence[EUI]) -> Mapping[EUI, Throttle]:
        """Give what is remembered of each User that was refused by its quota."""
        state = await self._state()
        return {user: state.throttles.get(user, Throttle(user)) for user in users}

    async def save_throttles(self, throttles: Sequence[Throttle]) -> None:
        """Remember what was asked for here, as it has become."""
        state = await self._state()
        for each in throttles:
            state.throttles[each.user] = each

    async def fence(self, lease: Lease) -> None:
        """Make sure that a lease has not changed hands; until this unit of work ends, it cannot.

        Raises:
            Unavailable: if it has.
        """
        known = (await self._state()).leases.get(lease.name)
        if known is None or (known.holder, known.fence) != (lease.holder, lease.fence):
            raise Unavailable(f"the lease {lease.name} has changed hands")

    async def beat(self, now: datetime) -> datetime | None:
        """Note that the service is up; give when that was noted last, None if never."""
        state = await self._state()
        last = state.beats.get(_SERVICE)
        state.beats[_SERVICE] = max(now, last or now)
        return last

    async def commit(self) -> None:
        """Make everything since the beginning permanent.

        Raises:
            RuntimeError: if a claim was not finished, or this is over already.
        """
        if self._unfinished:
            raise RuntimeError(f"{len(self._unfinished)} claims were not finished")
        state = await self._state()
        state.commit()
        self.end()

    def end(self) -> None:
        """Forget what was not committed and let the next writer in."""
        self._ended = True
        if self._draft is not None:
            self._draft = None
            self._database.release()

    async def _state(self) -> State:
        if self._ended:
            raise RuntimeError("this unit of work is over")
        if self._draft is None:
            self._draft = await self._database.acquire()
        return self._draft
