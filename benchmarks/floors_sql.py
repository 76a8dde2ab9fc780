"""Floors of PostgreSQL: rows written, drained and updated with asyncpg, by the best statements that there are.

The table is the outbox without its ornaments: a key, the message, and an index over what is not published yet.
"""

import asyncio
import random
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import asyncpg

from .cpu import Meter
from .figures import figure
from .floors import COMMITTED, COPIED, DRAINED, SMALL, UNNESTED, UPDATED, Floor
from .servers import Servers
from .world import NEW, SUPPLIER, hub_eui

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

TABLES = """
CREATE TABLE floor_rows (
    id bigint PRIMARY KEY, recipient text NOT NULL, message_id text NOT NULL, type text NOT NULL,
    octets bytea NOT NULL, created_at timestamptz NOT NULL, published_at timestamptz);
CREATE INDEX ON floor_rows (id) WHERE published_at IS NULL;
CREATE TABLE floor_hubs (eui text PRIMARY KEY, firmware_version text NOT NULL, supplier text NOT NULL,
    last_activation_at timestamptz);
CREATE TABLE floor_small (hub text NOT NULL, firmware_version text NOT NULL, at timestamptz NOT NULL,
    request_id text NOT NULL, recorded_at timestamptz NOT NULL, PRIMARY KEY (hub, firmware_version, at))
"""
COLUMNS = ("id", "recipient", "message_id", "type", "octets", "created_at")
UNNEST = """INSERT INTO floor_rows (id, recipient, message_id, type, octets, created_at)
SELECT * FROM unnest($1::bigint[], $2::text[], $3::text[], $4::text[], $5::bytea[], $6::timestamptz[])"""
ONE = "INSERT INTO floor_rows (id, recipient, message_id, type, octets, created_at) VALUES ($1, $2, $3, $4, $5, $6)"
CLAIM = "SELECT * FROM floor_rows WHERE published_at IS NULL ORDER BY id LIMIT 500 FOR UPDATE SKIP LOCKED"
MARK = "UPDATE floor_rows SET published_at = now() WHERE id = ANY($1::bigint[])"
UPDATE = """UPDATE floor_hubs SET firmware_version = new.firmware_version, last_activation_at = new.at
FROM unnest($1::text[], $2::text[], $3::timestamptz[]) AS new (eui, firmware_version, at)
WHERE floor_hubs.eui = new.eui"""
AT_ONCE = 500
HUBS = 100_000
HUBS_AT_ONCE = 1000

Connection = Any  # asyncpg has no types of its own
Row = tuple[int, str, str, str, bytes, datetime]


def measure(servers: Servers, meter: Meter, *, repetitions: int, count: int) -> dict[str, Floor]:
    """Write, drain and update rows.

    Args:
        servers: whose PostgreSQL.
        meter: of the servers.
        repetitions: how often.
        count: rows each time; a tenth of it where each has a commit of its own.
    """
    return asyncio.run(_measure(servers, meter, repetitions, count))


async def _measure(servers: Servers, meter: Meter, repetitions: int, count: int) -> dict[str, Floor]:
    connection = await asyncpg.connect(servers.postgresql.url.replace("+asyncpg", "", 1))
    try:
        for statement in TABLES.split(";"):
            await connection.execute(statement)
        await _make_hubs(connection)
        steps: dict[str, tuple[int, Callable[[Connection, int], Awaitable[None]]]] = {
            COPIED: (count, _copy),
            UNNESTED: (count, _unnest),
            DRAINED: (2 * count, _drain),
            COMMITTED: (count // 10, _commit),
            UPDATED: (count, _update),
            SMALL: (count, _small),
        }
        spent: dict[str, tuple[list[float], list[float]]] = {name: ([], []) for name in steps}
        for _ in range(repetitions):
            await connection.execute("TRUNCATE floor_rows, floor_small")
            await connection.execute("VACUUM ANALYZE floor_hubs")
            for name, (number, step) in steps.items():
                await connection.execute("ANALYZE floor_rows")  # else the planner may sort the whole for each 500
                await connection.execute("CHECKPOINT")
                stop, began = meter.start(), time.process_time()
                await step(connection, number)
                spent[name][0].append((time.process_time() - began) / number * 1e6)
                spent[name][1].append(stop().cpu["PostgreSQL"] / number * 1e6)
        for table in ("floor_rows", "floor_hubs", "floor_small"):
            await connection.execute(f"DROP TABLE {table}")
    finally:
        await connection.close()
    return {name: Floor(figure(client, "µs"), figure(server, "µs")) for name, (client, server) in spent.items()}


_ids = iter(range(1, 2**62))


def _rows(count: int) -> list[Row]:
    now, octets = datetime.now(UTC), random.randbytes(1500)
    return [
        (number, SUPPLIER[number % len(SUPPLIER)], f"{number:060}", "N64", octets, now)
        for number in (next(_ids) for _ in range(count))
    ]


async def _copy(connection: Connection, count: int) -> None:
    for _ in range(0, count, AT_ONCE):
        await connection.copy_records_to_table("floor_rows", records=_rows(AT_ONCE), columns=COLUMNS)


async def _unnest(connection: Connection, count: int) -> None:
    for _ in range(0, count, AT_ONCE):
        await connection.execute(UNNEST, *zip(*_rows(AT_ONCE), strict=True))


async def _commit(connection: Connection, count: int) -> None:
    for row in _rows(count):
        await connection.execute(ONE, *row)
    await connection.execute("UPDATE floor_rows SET published_at = now() WHERE published_at IS NULL")


async def _drain(connection: Connection, count: int) -> None:
    for _ in range(0, count, AT_ONCE):
        async with connection.transaction():
            claimed = await connection.fetch(CLAIM)
            await connection.execute(MARK, [row["id"] for row in claimed])


async def _make_hubs(connection: Connection) -> None:
    records = [(hub_eui(number), "01.00", SUPPLIER[0], None) for number in range(HUBS)]
    await connection.copy_records_to_table("floor_hubs", records=records)
    await connection.execute("ANALYZE floor_hubs")


async def _update(connection: Connection, count: int) -> None:
    now = datetime.now(UTC)
    for _ in range(0, count, HUBS_AT_ONCE):
        euis = [hub_eui(number) for number in random.sample(range(HUBS), HUBS_AT_ONCE)]
        await connection.execute(UPDATE, euis, [NEW] * HUBS_AT_ONCE, [now] * HUBS_AT_ONCE)


async def _small(connection: Connection, count: int) -> None:
    now = datetime.now(UTC)
    for _ in range(0, count, HUBS_AT_ONCE):
        records = [(f"{next(_ids):023}", NEW, now, f"{'0' * 50}", now) for _ in range(HUBS_AT_ONCE)]
        await connection.copy_records_to_table("floor_small", records=records)
