"""The inbox: which content owns a RequestID, and what it was answered (wire contract §6).

A claim is a row. The unique indexes decide who was first, also between processes: a claim waits for the transaction
that made an earlier one, and a claim is never committed without its response, so that a repeat always finds one.
"""

from collections.abc import Iterable, Sequence

from sqlalchemy import bindparam, literal, select, true, update
from sqlalchemy.ext.asyncio import AsyncConnection

from chfw_sr.service.ports import Claim, Claimed, ClaimStatus, InboxRecord

from .dialects import SqlDialect
from .tables import inbox

_Key = tuple[str, str]
"""RequestID and the digest in hex."""


class Inbox:
    """The inbox in one transaction."""

    def __init__(self, connection: AsyncConnection, dialect: SqlDialect) -> None:
        self._connection = connection
        self._dialect = dialect
        self._unfinished: set[_Key] = set()

    @property
    def unfinished(self) -> bool:
        """Whether something was claimed that has no response yet."""
        return bool(self._unfinished)

    async def claim(self, claims: Sequence[Claim]) -> Sequence[Claimed]:
        """Claim in at most five statements."""
        keys = [_key(claim) for claim in claims]
        new = await self._insert(keys, conflict=False)
        repeats = await self._find(key for key in keys if key not in new)
        others = [key for key in keys if key not in new and key not in repeats]
        conflicts = await self._insert(others, conflict=True)
        # Lost to another transaction that claimed the same conflicting content at the same time:
        repeats |= await self._find(key for key in others if key not in conflicts)
        self._unfinished |= new | conflicts
        return [
            Claimed(ClaimStatus.NEW)
            if key in new
            else Claimed(ClaimStatus.CONFLICT)
            if key in conflicts
            else repeats[key]
            for key in keys
        ]

    async def finish(self, records: Sequence[InboxRecord]) -> None:
        """Store what was answered.

        Raises:
            RuntimeError: for a record that was not claimed here.
        """
        values = []
        for record in records:
            key = _key(record.claim)
            if key not in self._unfinished:
                raise RuntimeError(f"{key[0]} was not claimed in this unit of work")
            values.append(
                {
                    "key_request_id": key[0],
                    "key_digest": key[1],
                    "srv": record.srv,
                    "code": record.code.value,
                    "response": record.response,
                    "received_at": record.received_at,
                }
            )
        if values:
            statement = update(inbox).where(
                inbox.c.request_id == bindparam("key_request_id"), inbox.c.digest == bindparam("key_digest")
            )
            await self._connection.execute(statement, values)
        self._unfinished -= {_key(record.claim) for record in records}

    async def _insert(self, keys: Sequence[_Key], *, conflict: bool) -> set[_Key]:
        """Insert what is not there, in order, so that two transactions wait for each other in one direction only."""
        if not keys:
            return set()
        wanted = self._dialect.rows("claims", [inbox.c.request_id, inbox.c.digest], sorted(set(keys)))
        values = select(wanted.c.request_id, wanted.c.digest, literal(conflict))
        values = values.where(true()).order_by(wanted.c.request_id, wanted.c.digest)
        statement = (
            self._dialect.insert(inbox)
            .from_select(["request_id", "digest", "conflict"], values)
            .on_conflict_do_nothing()
            .returning(inbox.c.request_id, inbox.c.digest)
        )
        return {(row.request_id, row.digest) for row in await self._connection.execute(statement)}

    async def _find(self, keys: Iterable[_Key]) -> dict[_Key, Claimed]:
        wanted_keys = sorted(set(keys))
        if not wanted_keys:
            return {}
        wanted = self._dialect.rows("claims", [inbox.c.request_id, inbox.c.digest], wanted_keys)
        query = select(inbox.c.request_id, inbox.c.digest, inbox.c.response, inbox.c.code).join_from(
            wanted,
            inbox,
            (inbox.c.request_id == wanted.c.request_id) & (inbox.c.digest == wanted.c.digest),
        )
        return {
            (row.request_id, row.digest): Claimed(ClaimStatus.REPEAT, row.response, row.code)
            for row in await self._connection.execute(query)
        }


def _key(claim: Claim) -> _Key:
    return str(claim.request_id), claim.digest.hex()
