"""Goal 3: does anything cost more as the tables grow? And how fast hubs come in.

The same product on the same servers is measured with a small database, then hubs, activations and history are added by
SQL, spread over the same Suppliers and models, and it is measured again.
"""

import asyncio
import shutil
import time
from pathlib import Path
from typing import Any

import asyncpg

from .figures import Figure, figure
from .product import Failed
from .report import Report, Section
from .site import Site, say
from .world import CAMPAIGNS, DISTRIBUTOR, HUB_COLUMNS, MANUFACTURER, OLD, REGIONS, SUPPLIER, SUPPLIERS, TRANSPORTER

FREE_OCTETS = 20 * 2**30
"""Of the disk that are to stay free."""
HUB_OCTETS, HISTORY_OCTETS = 1_200, 400
"""Disk that a hub (with its activation) and a line of history take, generously, while indexes are built."""
STEP = 1_000_000

_HEX = "upper(lpad(to_hex(n), 8, '0'))"
_EUI = "'00-DB-12-34-' || " + " || '-' || ".join(f"substr({_HEX}, {place}, 2)" for place in (1, 3, 5, 7))
_GAS = f"(n % {SUPPLIERS} + 1 + n / {SUPPLIERS * CAMPAIGNS} % {SUPPLIERS - 1}) % {SUPPLIERS}"
HUBS = f"""
INSERT INTO hubs ({", ".join(HUB_COLUMNS)})
SELECT {_EUI}, '{MANUFACTURER}', 'Hub-' || n / {SUPPLIERS} % {CAMPAIGNS}, '{OLD}',
    ($3::text[])[n / {SUPPLIERS * CAMPAIGNS} % {len(REGIONS)} + 1], 'Commissioned',
    ($4::text[])[n % {SUPPLIERS} + 1], ($4::text[])[{_GAS} + 1],
    ($5::text[])[n % {len(DISTRIBUTOR)} + 1], ($6::text[])[n / {len(DISTRIBUTOR)} % {len(TRANSPORTER)} + 1]
FROM generate_series($1::bigint, $2::bigint) AS n
"""
ACTIVATIONS = f"""
INSERT INTO activations (hub, firmware_version, at, result, effective, request_id, recorded_at)
SELECT {_EUI}, '{OLD}', now() - interval '300 days', 'Success', true, 'of years before', now() - interval '300 days'
FROM generate_series($1::bigint, $2::bigint) AS n
"""
HISTORY = f"""
INSERT INTO history (at, kind, hub, request_id, detail)
SELECT now() - interval '300 days', 'HubActivated', {_EUI}, 'of years before', '{{}}'
FROM generate_series($1::bigint, $2::bigint) AS n
"""
TABLES = ("hubs", "activations", "history")
INDEXES = """
SELECT indexname, indexdef FROM pg_indexes WHERE tablename = ANY($1) AND schemaname = current_schema()
AND indexname NOT IN (SELECT conname FROM pg_constraint)
"""


def compare(site: Site, report: Report, hubs: int, history: int) -> None:
    """Measure, grow, measure again.

    Args:
        site: where; its database grows.
        report: where to.
        hubs: that there are to be in the end.
        history: lines that there are to be, about.
    """
    _check_disk(hubs, history)
    section = report.section(
        "Growth", f"{site.size.hubs:,} hubs at first; {hubs:,} hubs and activations, {history:,} lines of history then."
    )
    imported = site.size.hubs + 50_000
    section.add(f"inventory import of {imported:,} hubs, whole command", imported / site.import_seconds, "hubs/s")
    small = _costs(site, section, "small")
    say("growing")
    began = time.monotonic()
    size = asyncio.run(_grow(site.servers.postgresql.url, site.size.hubs, hubs, history))
    section.add("database grown to", f"{size / 1e9:.1f} GB", f"in {time.monotonic() - began:.0f} s")
    large = _costs(site, section, "large")
    for name, before, after in zip(("request", "alert"), small, large, strict=True):
        ratios = [each / before.median for each in after.values]
        section.add(f"CPU a {name}, large ÷ small", figure(ratios, "x"), "at most 1.15 x")


def _check_disk(hubs: int, history: int) -> None:
    free = shutil.disk_usage(Path("/tmp")).free
    needed = hubs * HUB_OCTETS + history * HISTORY_OCTETS + FREE_OCTETS
    if free < needed:
        raise Failed(
            f"{free / 2**30:.0f} GB are free; {needed / 2**30:.0f} GB are needed, {FREE_OCTETS / 2**30:.0f} spare"
        )


def _costs(site: Site, section: Section, name: str) -> tuple[Figure, Figure]:
    say(f"{name} database")
    with site.product.running():
        usual = site.repetitions(site.mix.usual)
        reports = site.reports(2, site.size.repetitions)
    request = figure([each.request_us for each in usual], "µs")
    alert = figure([each.alert_us for each in reports], "µs")
    section.add(f"{name}: CPU a request", request)
    section.add(f"{name}: CPU an alert", alert)
    for group in usual[0].cost.cpu:
        values = [each.cost.cpu[group] / each.requests * 1e6 for each in usual]
        section.add(f"{name}: of a request, {group}", figure(values, "µs"))
    return request, alert


async def _grow(url: str, first: int, hubs: int, history: int) -> int:
    """Add rows, a million at a time, without the indexes, and build those again; give the size of the database."""
    connection = await asyncpg.connect(url.replace("+asyncpg", "", 1))
    try:
        indexes = await connection.fetch(INDEXES, list(TABLES))
        for index in indexes:
            await connection.execute(f"DROP INDEX {index['indexname']}")
        names = [list(map(str, each)) for each in (REGIONS, SUPPLIER, DISTRIBUTOR, TRANSPORTER)]
        await _in_steps(connection, HUBS, first, hubs, *names)
        await _in_steps(connection, ACTIVATIONS, first, hubs)
        for passed in range(0, history, hubs):
            await _in_steps(connection, HISTORY, 0, min(hubs, history - passed))
        await connection.execute("SET maintenance_work_mem = '1GB'")
        for index in indexes:
            say(f"  {index['indexname']}")
            await connection.execute(index["indexdef"])
        say("  VACUUM ANALYZE, CHECKPOINT")
        await connection.execute("VACUUM ANALYZE")
        await connection.execute("CHECKPOINT")
        size: int = await connection.fetchval("SELECT pg_database_size(current_database())")
        return size
    finally:
        await connection.close()


async def _in_steps(connection: Any, statement: str, first: int, last: int, *arguments: object) -> None:
    for start in range(first, last, STEP):
        say(f"  {statement.split()[2]} from {start:,}")
        await connection.execute(statement, start, min(start + STEP, last) - 1, *arguments)
