"""The adapter's memory: one SQLite file that survives it.

The rules:

- What is about to be sent is written down before it is sent: RequestID and octets in one transaction with the counter.
  So a counter never goes back, and what is sent again is the very same octets.
- What came back is written down before it is acknowledged.
- Of an alert that the caller is done with, id and digest are kept, so that a repeat is known as one.
- What cannot be believed is set aside with the reason, octets untouched.

A journal is one User's or several's. Several processes may share it: every call is one transaction.
"""

import hashlib
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from types import TracebackType
from typing import Self

from chfw_sr.messages import EUI, SRV, RequestID, ResponseID

from .transport import Inbound

BUSY_SECONDS = 30.0
"""How long to wait for another process that is writing."""

VERSION = 1

_SCHEMA = """
CREATE TABLE counters (originator TEXT PRIMARY KEY, last INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE requests (
  request_id TEXT PRIMARY KEY, srv TEXT NOT NULL, digest BLOB NOT NULL, octets BLOB NOT NULL, sent_at TEXT NOT NULL,
  response BLOB, outcome BLOB
);
CREATE INDEX requests_open ON requests (sent_at) WHERE response IS NULL;
CREATE TABLE told (message_id TEXT PRIMARY KEY, digest BLOB NOT NULL, at TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE set_aside (
  id INTEGER PRIMARY KEY, inbound TEXT NOT NULL, octets BLOB NOT NULL, reason TEXT NOT NULL, at TEXT NOT NULL
);
"""


class JournalError(Exception):
    """The journal cannot be used; the message says why."""


class Reused(Exception):  # noqa: N818 - it names what was found
    """This RequestID was used before, with other content."""


class Noted(StrEnum):
    """What became of an answer that was written down."""

    NEW = "New"
    REPEAT = "Repeat"
    """The same octets were there."""
    OTHER = "Other"
    """Other octets were there, and stay."""
    UNKNOWN = "Unknown"
    """The journal knows of no such request."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A Service Request that was written down.

    Attributes:
        octets: the signed document, as it is sent.
        sent_at: when it was written down.
        response: the octets of its Service Response, once there is one.
        outcome: the octets of its outcome alert, once there is one.
    """

    request_id: RequestID
    srv: SRV | str
    octets: bytes
    sent_at: datetime
    response: bytes | None = None
    outcome: bytes | None = None


@dataclass(frozen=True, slots=True)
class SetAside:
    """A message that could not be believed."""

    id: int
    inbound: Inbound
    octets: bytes
    reason: str
    at: datetime


class Journal:
    """See the module. Methods block for a few milliseconds; they may be called from any thread.

    Args:
        path: the file, made if it is not there, readable by its owner only; `:memory:` forgets everything.

    Raises:
        JournalError: if it cannot be opened, or is of a newer version.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = str(path)
        self._lock = threading.Lock()
        try:
            if self.path != ":memory:":
                os.close(os.open(self.path, os.O_CREAT | os.O_RDWR, 0o600))
            self._connection = sqlite3.connect(
                self.path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
            )
            self._connection.execute("PRAGMA journal_mode = WAL")
            self._connection.execute("PRAGMA synchronous = FULL")
            self._prepare()
        except (OSError, sqlite3.Error) as error:
            raise JournalError(f"{self.path}: not a journal that can be used: {error}") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._connection.close()

    def _prepare(self) -> None:
        with self._writing() as connection:
            (version,) = connection.execute("PRAGMA user_version").fetchone()
            if version == 0:
                for statement in filter(str.strip, _SCHEMA.split(";")):
                    connection.execute(statement)
                connection.execute(f"PRAGMA user_version = {VERSION}")
            elif version != VERSION:
                raise JournalError(f"{self.path}: a journal of version {version}; this program knows {VERSION}")

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        """One transaction: committed if the block ends well, else rolled back."""
        with self._lock:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
            except BaseException:
                self._connection.execute("ROLLBACK")
                raise
            self._connection.execute("COMMIT")

    def _rows(self, sql: str, values: Sequence[object] = ()) -> list[sqlite3.Row]:
        with self._lock:
            return self._connection.execute(sql, values).fetchall()

    # ------------------------------------------------------------------------------------------- what is sent

    def make(
        self, originator: EUI, target: EUI, srv: SRV | str, write: Callable[[RequestID], tuple[bytes, bytes]]
    ) -> Entry:
        """Take the originator's next counter, make a request with it, and write both down.

        The counter is used up if and only if the request was written down. A journal that is new begins at the
        microseconds since 1970, so that one that was lost does not bring back counters that were used.

        Args:
            originator: whose counter.
            target: the DCC.
            srv: the Service Reference Variant.
            write: makes octets and digest of the content from the RequestID.
        """
        with self._writing() as connection:
            found = connection.execute("SELECT last FROM counters WHERE originator = ?", (originator,)).fetchone()
            counter = found[0] + 1 if found else time.time_ns() // 1000
            connection.execute(
                "INSERT INTO counters VALUES (?, ?) ON CONFLICT (originator) DO UPDATE SET last = excluded.last",
                (originator, counter),
            )
            request_id = RequestID(originator=originator, target=target, counter=counter)
            octets, digest = write(request_id)
            return _insert(connection, request_id, srv, octets, digest)

    def record(self, request_id: RequestID, srv: SRV | str, octets: bytes, digest: bytes) -> Entry:
        """Write down a request that has its RequestID already; the originator's counter moves on past it.

        Args:
            request_id: its name.
            srv: its Service Reference Variant.
            octets: the signed document.
            digest: of its content; the same request signed anew has the same.

        Returns:
            The entry; where this content was written down before, that one, with the octets of then.

        Raises:
            Reused: if the journal has other content under this RequestID.
        """
        with self._writing() as connection:
            found = connection.execute(f"{_ENTRY}, digest {_OF_REQUEST}", (str(request_id),)).fetchone()
            if found is not None:
                if found[-1] != digest:
                    raise Reused(f"{request_id} was used before, with other content; take another counter")
                return _entry(found[:-1])
            if request_id.counter < 2**63:  # what SQLite can count to
                connection.execute(
                    "INSERT INTO counters VALUES (?, ?) "
                    "ON CONFLICT (originator) DO UPDATE SET last = max(last, excluded.last)",
                    (request_id.originator, request_id.counter),
                )
            return _insert(connection, request_id, srv, octets, digest)

    def entry(self, request_id: RequestID) -> Entry | None:
        """Give what is known of a request, if it was written down here."""
        rows = self._rows(f"{_ENTRY} {_OF_REQUEST}", (str(request_id),))
        return _entry(rows[0]) if rows else None

    def unanswered(self) -> list[Entry]:
        """Give the requests that have no Service Response, the oldest first."""
        return [
            _entry(row) for row in self._rows(f"{_ENTRY} FROM requests WHERE response IS NULL ORDER BY sent_at, rowid")
        ]

    # ------------------------------------------------------------------------------------------- what comes back

    def answered(self, request_id: RequestID, octets: bytes) -> Noted:
        """Write down the Service Response of a request."""
        return self._note("response", request_id, octets)

    def ended(self, request_id: RequestID, octets: bytes) -> Noted:
        """Write down the outcome alert of a request."""
        return self._note("outcome", request_id, octets)

    def _note(self, column: str, request_id: RequestID, octets: bytes) -> Noted:
        with self._writing() as connection:
            found = connection.execute(f"SELECT {column} {_OF_REQUEST}", (str(request_id),)).fetchone()
            if found is None:
                return Noted.UNKNOWN
            if found[0] is not None:
                return Noted.REPEAT if found[0] == octets else Noted.OTHER
            connection.execute(
                f"UPDATE requests SET {column} = ? WHERE request_id = ?",  # noqa: S608 - our own names
                (octets, str(request_id)),
            )
            return Noted.NEW

    # ------------------------------------------------------------------------------------------- what was told

    def told(self, ids: Iterable[ResponseID]) -> Mapping[str, bytes]:
        """Give the digests of those alerts of these that the caller is done with, by id."""
        wanted = list(map(str, ids))
        marks = ",".join("?" * len(wanted))
        rows = self._rows(f"SELECT message_id, digest FROM told WHERE message_id IN ({marks})", wanted)  # noqa: S608 - marks only
        return {row[0]: row[1] for row in rows}

    def tell(self, alerts: Iterable[tuple[ResponseID, bytes]]) -> None:
        """Remember that the caller is done with these alerts: id and digest."""
        now = _now()
        with self._writing() as connection:
            connection.executemany(
                "INSERT INTO told VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
                [(str(message_id), digest, now) for message_id, digest in alerts],
            )

    # ------------------------------------------------------------------------------------------- what is set aside

    def put_aside(self, inbound: Inbound, octets: bytes, reason: str) -> None:
        """Keep a message that could not be believed; one that is there already is not kept twice."""
        with self._writing() as connection:
            connection.execute(
                "INSERT INTO set_aside (inbound, octets, reason, at) SELECT ?1, ?2, ?3, ?4 "
                "WHERE NOT EXISTS (SELECT 1 FROM set_aside WHERE inbound = ?1 AND octets = ?2)",
                (str(inbound), octets, reason, _now()),
            )

    def set_aside(self, inbound: Inbound) -> list[SetAside]:
        """Give what was set aside of a queue, the oldest first."""
        rows = self._rows("SELECT id, octets, reason, at FROM set_aside WHERE inbound = ? ORDER BY id", (str(inbound),))
        return [SetAside(row[0], inbound, row[1], row[2], datetime.fromisoformat(row[3])) for row in rows]

    def drop_aside(self, aside_id: int) -> None:
        """Forget a message that was set aside: it was believed after all."""
        with self._writing() as connection:
            connection.execute("DELETE FROM set_aside WHERE id = ?", (aside_id,))

    def forget(self, before: datetime) -> int:
        """Forget answered requests and alerts that are older; counters and what was set aside stay. Give how many.

        Args:
            before: aware. The DCC may repeat a message as long as it lies in its outbox: keep 30 days at least.
        """
        limit = before.astimezone(UTC).isoformat()
        with self._writing() as connection:
            requests = connection.execute(
                "DELETE FROM requests WHERE sent_at < ? AND response IS NOT NULL", (limit,)
            ).rowcount
            return requests + connection.execute("DELETE FROM told WHERE at < ?", (limit,)).rowcount


_ENTRY = "SELECT request_id, srv, octets, sent_at, response, outcome"
_OF_REQUEST = "FROM requests WHERE request_id = ?"


def _insert(
    connection: sqlite3.Connection, request_id: RequestID, srv: SRV | str, octets: bytes, digest: bytes
) -> Entry:
    now = _now()
    connection.execute(
        "INSERT INTO requests (request_id, srv, digest, octets, sent_at) VALUES (?, ?, ?, ?, ?)",
        (str(request_id), str(srv), digest, octets, now),
    )
    return Entry(request_id, srv, octets, datetime.fromisoformat(now))


def _entry(row: Sequence[object]) -> Entry:
    request_id, srv, octets, sent_at, response, outcome = row
    assert isinstance(octets, bytes)
    assert response is None or isinstance(response, bytes)
    assert outcome is None or isinstance(outcome, bytes)
    return Entry(
        RequestID.parse(str(request_id)), str(srv), octets, datetime.fromisoformat(str(sent_at)), response, outcome
    )


def _now() -> str:
    return datetime.now(UTC).isoformat()


def content_digest(canonical: bytes) -> bytes:
    """Give the digest of a request's content: SHA-256 of its canonical form without its Signature."""
    return hashlib.sha256(canonical).digest()
