"""A migrated schema equals the declared one, on both databases; going there works from wherever one is."""

import argparse
import asyncio
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, bindparam, text

from chfw_sr.service.ports import OutboxStatus
from chfw_sr.storage import migrations
from chfw_sr.storage.columns import DETAIL, Instant
from chfw_sr.storage.store import SqlStore, create_store
from chfw_sr.storage.tables import metadata
from tests.contract.makers import AT, HOUR, create


async def ask(store: SqlStore, question: str) -> list[tuple[Any, ...]]:
    async with store.database.read() as connection:
        return [tuple(row) for row in await connection.execute(text(question))]


SQLITE_INDEXES = """
    SELECT m.name, m.sql FROM sqlite_master m WHERE m.type = 'index' AND m.sql IS NOT NULL ORDER BY m.name
"""
SQLITE_COLUMNS = """
    SELECT m.name, c.name, c.type, c."notnull", c.dflt_value, c.pk, m.sql LIKE '%WITHOUT ROWID%'
    FROM sqlite_master m JOIN pragma_table_info(m.name) c
    WHERE m.type = 'table' AND m.name NOT IN ('alembic_version', 'sqlite_sequence') ORDER BY m.name, c.name
"""
POSTGRESQL_INDEXES = """
    SELECT indexname, indexdef FROM pg_indexes
    WHERE schemaname = 'public' AND tablename <> 'alembic_version' ORDER BY indexname
"""
POSTGRESQL_COLUMNS = """
    SELECT table_name, column_name, data_type, collation_name, is_nullable, column_default
    FROM information_schema.columns
    WHERE table_schema = 'public' AND table_name <> 'alembic_version' ORDER BY table_name, column_name
"""
POSTGRESQL_CONSTRAINTS = """
    SELECT conname, contype::text, pg_get_constraintdef(oid) FROM pg_constraint
    WHERE connamespace = 'public'::regnamespace AND conname <> 'alembic_version_pkc' ORDER BY conname
"""


POSTGRESQL_OPTIONS = """
    SELECT relname, reloptions FROM pg_class
    WHERE relnamespace = 'public'::regnamespace AND reloptions IS NOT NULL ORDER BY relname
"""


async def schema(store: SqlStore) -> list[Any]:
    """Describe a schema as the database sees it, finer than alembic compares: collations, conditions, rowids."""
    if store.database.engine.dialect.name == "sqlite":
        indexes = [(name, " ".join(sql.replace('"', "").split())) for name, sql in await ask(store, SQLITE_INDEXES)]
        return [indexes, await ask(store, SQLITE_COLUMNS)]
    questions = (POSTGRESQL_INDEXES, POSTGRESQL_COLUMNS, POSTGRESQL_CONSTRAINTS, POSTGRESQL_OPTIONS)
    return [await ask(store, each) for each in questions]


def test_the_newest_revision_is_the_one_that_this_version_needs() -> None:
    assert ScriptDirectory.from_config(migrations._config()).get_current_head() == migrations.HEAD


async def test_the_migrated_schema_equals_the_declared_one_as_alembic_sees_it(store: SqlStore) -> None:
    def differences(connection: Connection) -> list[Any]:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        return list(compare_metadata(context, metadata))

    async with store.database.read() as connection:
        assert await connection.run_sync(differences) == []


@pytest.fixture
def declared_url(url: str, request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Give the URL of a database without a schema, of the same kind as `url`."""
    if url.startswith("sqlite"):
        return f"sqlite+aiosqlite:///{tmp_path / 'declared.sqlite3'}"
    found: str = request.getfixturevalue("empty_postgresql_url")
    return found


async def test_the_migrated_schema_equals_the_declared_one_as_the_database_sees_it(
    store: SqlStore, declared_url: str
) -> None:
    declared = create_store(declared_url)
    try:
        async with declared.database.write() as connection:
            await connection.run_sync(metadata.create_all)
        assert await schema(store) == await schema(declared)
    finally:
        await declared.close()


async def test_a_new_database_is_brought_up_to_date(empty_url: str) -> None:
    with pytest.raises(migrations.SchemaOutdated, match="no schema yet"):
        await migrations.check(empty_url)
    assert await migrations.current(empty_url) is None
    await migrations.upgrade(empty_url)
    assert await migrations.current(empty_url) == migrations.HEAD
    await migrations.check(empty_url)


async def test_bringing_up_to_date_again_changes_nothing(store: SqlStore) -> None:
    await create(store)
    before = await schema(store)
    await migrations.upgrade(store)
    assert await schema(store) == before
    assert len(await store.queries.campaigns()) == 1


async def test_many_may_bring_it_up_to_date_at_once(empty_url: str) -> None:
    await asyncio.gather(*(migrations.upgrade(empty_url) for _ in range(4)))
    await migrations.check(empty_url)


async def test_a_schema_of_another_version_is_refused(store: SqlStore) -> None:
    async with store.database.write() as connection:
        await connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(migrations.SchemaOutdated, match="9999"):
        await migrations.check(store)


async def test_a_migration_that_fails_leaves_nothing(empty_url: str) -> None:
    store = create_store(empty_url)
    try:
        async with store.database.write() as connection:
            await connection.execute(text("CREATE TABLE quarantine (other TEXT)"))
        with pytest.raises(Exception, match="quarantine"):
            await migrations.upgrade(store)
        assert await migrations.current(store) is None
        async with store.database.read() as connection:
            names = await connection.run_sync(store.database.engine.dialect.get_table_names)
        assert names == ["quarantine"]
    finally:
        await store.close()


async def test_history_is_not_thrown_away_by_going_back(store: SqlStore) -> None:
    def downgrade(connection: Connection) -> None:
        config = migrations._config()
        config.attributes["connection"] = connection
        command.downgrade(config, "base")

    await create(store)
    with pytest.raises(NotImplementedError, match="restore a backup"):
        async with store.database.write() as connection:
            await connection.run_sync(downgrade)
    await migrations.check(store)
    assert len(await store.queries.campaigns()) == 1


BEFORE_0005 = """
    INSERT INTO outbox (id, kind, recipient, message_id, type, octets, correlation_id, headers, created_at, status,
                        token, leased_until, attempts, published_at, lane)
    VALUES (1, 'alert', 'A', 'm1', 'N64', :octets, NULL, :none, :at, 'Published', NULL, NULL, 2, :later, 'alert:A'),
           (2, 'reply', 'q', 'm2', '11.6', :octets, 'c', :some, :at, 'Unroutable', NULL, NULL, 1, :later, 'reply:7'),
           (3, 'alert', 'A', 'm3', 'N64', :octets, NULL, :none, :at, 'Claimed', 't', :later, 1, NULL, 'alert:A'),
           (4, 'alert', 'B', 'm4', 'N64', :octets, NULL, :none, :at, 'Ready', NULL, NULL, 0, NULL, 'alert:B')
"""


async def test_the_outbox_of_an_earlier_version_is_carried_over(empty_url: str) -> None:
    def upgrade(connection: Connection) -> None:
        config = migrations._config()
        config.attributes["connection"] = connection
        command.upgrade(config, "0003")

    store = create_store(empty_url)
    headers = [bindparam("none", {}, DETAIL), bindparam("some", {"x-chfw-code": "I99"}, DETAIL)]
    instants = [bindparam("at", AT, Instant), bindparam("later", AT + HOUR, Instant)]
    before = text(BEFORE_0005).bindparams(bindparam("octets", b"<a/>"), *headers, *instants)
    try:
        async with store.database.write() as connection:
            await connection.run_sync(upgrade)
            await connection.execute(before)
        await migrations.upgrade(store)

        entries = await store.queries.outbox(None, 10)
        assert [(e.message.id, e.status, e.attempts, e.published_at) for e in entries] == [
            (1, OutboxStatus.PUBLISHED, 2, AT + HOUR),
            (2, OutboxStatus.UNROUTABLE, 1, AT + HOUR),
            (3, OutboxStatus.READY, 1, None),
            (4, OutboxStatus.READY, 0, None),
        ]
        assert entries[1].message.headers == {"x-chfw-code": "I99"}
        claimed = await store.outbox.claim("t", 10, AT, 60)
        assert [(each.id, each.octets) for each in claimed] == [(3, b"<a/>"), (4, b"<a/>")]
        assert await store.outbox.mark("t", claimed, OutboxStatus.PUBLISHED, AT) == 2
        assert await store.outbox.purge(AT + 2 * HOUR, 10) == 4
    finally:
        await store.close()


def test_alembic_alone_opens_the_database_that_it_is_told(empty_url: str) -> None:
    config = migrations._config()
    config.cmd_opts = argparse.Namespace(x=[f"url={empty_url}"])
    command.upgrade(config, "head")
    asyncio.run(migrations.check(empty_url))


async def test_no_document_is_sampled_for_statistics(empty_postgresql_url: str) -> None:
    await migrations.upgrade(empty_postgresql_url)
    store = create_store(empty_postgresql_url)
    try:
        asked = "SELECT attname, attstattarget FROM pg_attribute WHERE attrelid = 'outbox'::regclass AND attnum > 0"
        targets = dict(map(tuple, await ask(store, asked)))
    finally:
        await store.close()
    assert {"octets": 0, "headers": 0, "message_id": 10}.items() <= targets.items()
