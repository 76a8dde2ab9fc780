"""The inbox: which content owns a RequestID, and what it was answered (wire contract §6).

A claim looks whether the RequestID is there; the row is written once, whole, when the request is finished. The unique
indexes decide who was first, also between processes: of two that claimed at once, the later waits until the earlier one
ends, and if that committed, it is told to try again and finds a repeat. So a RequestID is never there without its
response.
"""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Select, Table, and_, select

from chfw_sr.service.ports import Claim, Claimed, ClaimStatus, InboxRecord

from .dialects import Question, SqlDialect
from .tables import inbox

_Key = tuple[str, str]
"""RequestID and the digest in hex."""

_KEY = (inbox.c.request_id, inbox.c.digest)
INBOX = ("request_id", "digest", "conflict", "srv", "code", "response", "received_at")
"""The columns of a row."""


class Inbox:
    """The inbox in one transaction.

    Args:
        dialect: of the database.
    """

    def __init__(self, dialect: SqlDialect) -> None:
        self._dialect = dialect
        self._unfinished: dict[_Key, bool] = {}
        self._owned: set[str] = set()

    @property
    def unfinished(self) -> bool:
        """Whether something was claimed that has no response yet."""
        return bool(self._unfinished)

    def looking_for(self, claims: Sequence[Claim]) -> Question:
        """Ask what is there of claims."""
        keys = sorted({_key(claim) for claim in claims})
        return Question(_find, self._dialect.giving("contents", _KEY, keys), is_asked=bool(keys))

    def claim(self, claims: Sequence[Claim], found: Sequence[Any]) -> Sequence[Claimed]:
        """Claim; the answers are in the order of the claims.

        Args:
            claims: what to claim.
            found: what was asked of them.
        """
        known = {(row.request_id, row.digest): row for row in found}
        return [self._claim(key, known[key]) for key in map(_key, claims)]

    def _claim(self, key: _Key, row: Any) -> Claimed:
        """Judge a claim by what was found of it, and by what was claimed here and is not written yet."""
        if row.code is not None or key in self._unfinished:
            return Claimed(ClaimStatus.REPEAT, row.response, row.code)
        conflict = row.owned or key[0] in self._owned
        self._unfinished[key] = conflict
        self._owned.add(key[0])
        return Claimed(ClaimStatus.CONFLICT if conflict else ClaimStatus.NEW)

    def finish(self, records: Sequence[InboxRecord]) -> tuple[Table, Sequence[Any]]:
        """Give what was answered as rows, in order of RequestID: two transactions wait in one direction only.

        Raises:
            RuntimeError: for a record that was not claimed here.
        """
        rows: dict[_Key, tuple[Any, ...]] = {}
        for record in records:
            key = _key(record.claim)
            if key not in self._unfinished:
                raise RuntimeError(f"{key[0]} was not claimed in this unit of work, or is finished")
            conflict = self._unfinished.pop(key)
            rows[key] = (*key, conflict, record.srv, record.code.value, record.response, record.received_at)
        return inbox, [rows[key] for key in sorted(rows)]


def _find(dialect: SqlDialect) -> Select[Any]:
    """Find wanted contents, each with whether any content owns its RequestID."""
    wanted = dialect.given("contents", _KEY)
    owner = inbox.alias("owner")
    owned = dialect.some(owner, owner.c.request_id == wanted.c.request_id, ~owner.c.conflict)
    same = and_(inbox.c.request_id == wanted.c.request_id, inbox.c.digest == wanted.c.digest)
    each, known = dialect.with_each(wanted, inbox, same, or_none=True)
    columns = (wanted.c.request_id, wanted.c.digest, known.code, known.response, owned.label("owned"))
    return select(*columns).select_from(each)


def _key(claim: Claim) -> _Key:
    return str(claim.request_id), claim.digest.hex()
