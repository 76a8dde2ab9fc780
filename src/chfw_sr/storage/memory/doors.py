"""The doors of the relay and of the register."""

import heapq
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import islice

from chfw_sr.campaign.model import Hub
from chfw_sr.messages import EUI
from chfw_sr.service.ports import ImportCount, OutboxMessage, OutboxStatus, UserRecord, furthest_lease
from chfw_sr.wire import TrustedCertificate

from .state import Post, State
from .writing import Database

_FINISHED = (OutboxStatus.PUBLISHED, OutboxStatus.UNROUTABLE)


class MemoryOutbox:
    """The relay's door; an `Outbox`.

    Args:
        database: whose outbox.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def claim(self, token: str, limit: int, now: datetime, lease_seconds: float) -> Sequence[OutboxMessage]:
        """Claim up to `limit` messages that are ready, or whose lease ran out, of lanes that nobody holds."""
        async with self._database.write() as state:
            furthest = furthest_lease(now, lease_seconds)
            held = {post.message.lane for post in state.pending.values() if not _is_free(post, now, furthest)}
            free = (number for number, post in state.pending.items() if post.message.lane not in held)
            claimed = heapq.nsmallest(limit, free)
            until = now + timedelta(seconds=lease_seconds)
            for number in claimed:
                post = state.pending[number]
                state.pending[number] = replace(
                    post, status=OutboxStatus.CLAIMED, attempts=post.attempts + 1, token=token, lease_until=until
                )
            return [state.pending[number].message for number in claimed]

    async def mark(
        self, token: str, ids: Sequence[int], status: OutboxStatus, now: datetime, *, rest_seconds: float = 0.0
    ) -> int:
        """Mark claimed messages as `PUBLISHED`, `UNROUTABLE`, or `READY` again; give how many were still ours.

        Raises:
            ValueError: if the status is `CLAIMED`.
        """
        if status is OutboxStatus.CLAIMED:
            raise ValueError("messages become claimed by claiming them")
        async with self._database.write() as state:
            posts = {number: state.pending[number] for number in ids if number in state.pending}
            ours = {number: post for number, post in posts.items() if post.token == token}
            for number, post in ours.items():
                released = replace(post, status=status, token=None, lease_until=None)
                if status in _FINISHED:
                    del state.pending[number]
                    state.finished[number] = replace(released, finished_at=now)
                else:
                    until = now + timedelta(seconds=rest_seconds)
                    state.pending[number] = replace(released, lease_until=until)
            return len(ours)

    async def purge(self, before: datetime, limit: int) -> int:
        """Delete up to `limit` finished messages that were published before; give how many."""
        async with self._database.write() as state:
            old = (number for number, post in state.finished.items() if post.finished_at and post.finished_at < before)
            purged = list(islice(old, limit))
            for number in purged:
                del state.finished[number]
            return len(purged)


def _is_free(post: Post, now: datetime, furthest: datetime) -> bool:
    return post.lease_until is None or not now < post.lease_until <= furthest


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
            before = _certificates(state)
            for record in records:
                state.users[record.user.eui] = record
            if _certificates(state) != before:
                state.next_number("trust")

    async def users(self) -> Sequence[UserRecord]:
        """Give all Users in order of EUI, with their certificates."""
        return [record for _, record in sorted(self._database.committed.users.items(), key=_eui)]

    async def certificates(self) -> Sequence[TrustedCertificate]:
        """Give every certificate of the trust store."""
        return _certificates(self._database.committed)

    async def trust_revision(self) -> int:
        """Give a number that changes whenever a certificate does."""
        return self._database.committed.numbers.get("trust", 0)

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


def _certificates(state: State) -> list[TrustedCertificate]:
    return [certificate for _, record in sorted(state.users.items(), key=_eui) for certificate in record.certificates]
