"""The doors of the relay and of the register."""

from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import chain, islice

from chfw_sr.campaign.model import Hub
from chfw_sr.messages import EUI
from chfw_sr.service.ports import (
    MAIL_LANES,
    ON_THE_BUS,
    Contact,
    ImportCount,
    OutboxMessage,
    OutboxStatus,
    Patience,
    UserRecord,
    furthest_lease,
)
from chfw_sr.wire import TrustedCertificate

from .state import FREE, Lane, Post, State
from .writing import Database


class MemoryOutbox:
    """The relay's door; an `Outbox`.

    Args:
        database: whose outbox.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._turns = {False: "", True: ""}

    async def claim(
        self, token: str, limit: int, now: datetime, lease_seconds: float, *, mail: Patience | None = None
    ) -> Sequence[OutboxMessage]:
        """Claim up to `limit` messages of lanes that nobody holds, beginning after the lane that was served last."""
        async with self._database.write() as state:
            furthest = furthest_lease(now, lease_seconds)
            waiting = defaultdict[str, list[int]](list)
            for number, post in state.pending.items():
                waiting[post.message.lane].append(number)
            free = sorted(name for name in waiting if _is_free(state.lanes.get(name, FREE), now, furthest))
            free = [name for name in free if _may_go(name, _messages(state, waiting[name]), mail)]
            after = bisect_right(free, self._turns[mail is not None])
            inside = islice(_in_turn(free[after:] or free, waiting), limit)
            claimed = defaultdict[str, list[int]](list)  # lane follows lane
            for name, number in inside:
                claimed[name].append(number)
            for name, numbers in claimed.items():
                _take_over(state, waiting[name])
                until = now + timedelta(seconds=lease_seconds)
                state.lanes[name] = Lane(token, until, numbers[-1], len(numbers))
            numbers = list(chain.from_iterable(claimed.values()))
            self._turns[mail is not None] = max(claimed) if numbers and len(numbers) == limit else ""
            return [state.pending[number].message for number in numbers]

    async def mark(
        self,
        token: str,
        messages: Sequence[OutboxMessage],
        status: OutboxStatus,
        now: datetime,
        *,
        rest_seconds: float = 0.0,
    ) -> int:
        """Mark claimed messages as `PUBLISHED`, `UNROUTABLE`, or `READY` again; give how many were still ours.

        Raises:
            ValueError: if the status is `CLAIMED`.
        """
        if status is OutboxStatus.CLAIMED:
            raise ValueError("messages become claimed by claiming them")
        async with self._database.write() as state:
            posts = {each.id: state.pending[each.id] for each in messages if each.id in state.pending}
            ours = {number: post for number, post in posts.items() if _is_held(state, post, token)}
            for number, post in ours.items():
                name = post.message.lane
                if status is OutboxStatus.READY:
                    state.pending[number] = replace(post, attempts=post.attempts + 1)
                    state.lanes[name] = Lane(leased_until=now + timedelta(seconds=rest_seconds))
                    continue
                del state.pending[number]
                state.finished[number] = replace(post, status=status, attempts=post.attempts + 1, finished_at=now)
                lane = state.lanes[name]
                state.lanes[name] = replace(lane, claimed=lane.claimed - 1) if lane.claimed > 1 else FREE
            return len(ours)

    async def purge(self, before: datetime, limit: int) -> int:
        """Delete up to `limit` finished messages that were published before; give how many."""
        async with self._database.write() as state:
            old = (number for number, post in state.finished.items() if post.finished_at and post.finished_at < before)
            purged = list(islice(old, limit))
            for number in purged:
                del state.finished[number]
            return len(purged)


def _is_free(lane: Lane, now: datetime, furthest: datetime) -> bool:
    return lane.leased_until is None or not now < lane.leased_until <= furthest


def _messages(state: State, numbers: Iterable[int]) -> list[OutboxMessage]:
    return [state.pending[number].message for number in numbers]


def _may_go(name: str, waiting: Sequence[OutboxMessage], mail: Patience | None) -> bool:
    """Tell whether a lane leads where the claim's messages go, and need not wait for more."""
    if name.startswith(MAIL_LANES) != (mail is not None):
        return False
    if mail is None or len(waiting) >= mail.number:
        return True
    return any(each.type not in mail.types or each.created_at <= mail.before for each in waiting)


def _is_held(state: State, post: Post, token: str) -> bool:
    lane = state.lanes.get(post.message.lane, FREE)
    return lane.token == token and post.message.id <= lane.claimed_to


def _in_turn(names: Sequence[str], waiting: Mapping[str, list[int]]) -> Iterator[tuple[str, int]]:
    return ((name, number) for name in names for number in sorted(waiting[name]))


def _take_over(state: State, waiting: Sequence[int]) -> None:
    """Count what another claim had not marked when its lease ran out as attempts that failed."""
    for number in waiting:
        post = state.pending[number]
        if state.status(post) is OutboxStatus.CLAIMED:
            state.pending[number] = replace(post, attempts=post.attempts + 1)


class MemoryRegister:
    """Who and what there is; a `Register`.

    Args:
        database: whose register.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def save_users(self, records: Sequence[UserRecord], at: datetime) -> None:  # noqa: ARG002 - the port's
        """Add Users, or replace them with the same EUI; all or nothing. Certificates not named are withdrawn."""
        async with self._database.write() as state:
            before = _certificates(state), _contacts(state)
            for record in records:
                state.users[record.user.eui] = record
            if (_certificates(state), _contacts(state)) != before:
                state.next_number("trust")

    async def users(self) -> Sequence[UserRecord]:
        """Give all Users in order of EUI, with their certificates."""
        return [record for _, record in sorted(self._database.committed.users.items(), key=_eui)]

    async def certificates(self) -> Sequence[TrustedCertificate]:
        """Give every certificate of the trust store."""
        return _certificates(self._database.committed)

    async def trust_revision(self) -> int:
        """Give a number that changes whenever a certificate or a contact does."""
        return self._database.committed.numbers.get("trust", 0)

    async def contacts(self) -> Mapping[EUI, Contact]:
        """Give the contact of each User that has an address, whether alerts go there or not."""
        return {eui: each for eui, each in _contacts(self._database.committed).items() if each.email is not None}

    async def import_hubs(self, chunks: AsyncIterator[Sequence[Hub]], at: datetime) -> ImportCount:
        """Add hubs or replace their data, in one transaction; here memory is what holds them all."""
        count = Counter[str]()
        async with self._database.write() as state:
            latest = {hub.eui: hub async for chunk in chunks for hub in chunk}
            for eui, hub in latest.items():
                known = state.hubs.get(eui)
                last = known.last_activation_at if known else None
                state.hubs[eui] = new = replace(hub, last_activation_at=last, membership=None)
                if known is not None and known != new:
                    state.write(at, "HubChanged", hub=eui)
                count["added" if known is None else "unchanged" if known == new else "changed"] += 1
        return ImportCount(**count)


def _eui(item: tuple[EUI, UserRecord]) -> EUI:
    return item[0]


def _contacts(state: State) -> dict[EUI, Contact]:
    return {eui: record.contact for eui, record in state.users.items() if record.contact != ON_THE_BUS}


def _certificates(state: State) -> list[TrustedCertificate]:
    return [certificate for _, record in sorted(state.users.items(), key=_eui) for certificate in record.certificates]
