"""Plays that are quick enough for every run of the tests. `make test-faults` has the long ones."""

from urllib.parse import urlsplit

import pytest

from . import plays
from .play import play
from .servers import CommitCutter, private_postgresql, private_rabbits

postgresql = pytest.mark.postgresql
pytestmark = [pytest.mark.rabbitmq, pytest.mark.timeout(600)]


@postgresql
async def test_sigkill_at_each_point(tmp_path, postgresql_url, rabbitmq_url, figures):
    async with play("SIGKILL at each point", tmp_path, postgresql_url, rabbitmq_url, figures=figures) as it:
        await plays.killed_at_each_point(it, 1)


@postgresql
async def test_random_sigkills_of_two_workers_and_two_relays(tmp_path, postgresql_url, rabbitmq_url, figures):
    async with play("random SIGKILLs", tmp_path, postgresql_url, rabbitmq_url, figures=figures) as it:
        await plays.killed_at_random(it, 4, every=(0.3, 1))


@postgresql
async def test_sigterm_under_load(tmp_path, postgresql_url, rabbitmq_url, figures):
    async with play("SIGTERM under load", tmp_path, postgresql_url, rabbitmq_url, figures=figures) as it:
        await plays.told_to_end(it, 2)


@postgresql
async def test_acknowledgements_of_commits_are_lost(tmp_path, postgresql_url, rabbitmq_url, figures):
    server = urlsplit(postgresql_url)
    cutter = CommitCutter((server.hostname, server.port))
    async with (
        cutter.listening(),
        play(
            "COMMIT's answer cut",
            tmp_path,
            postgresql_url,
            rabbitmq_url,
            figures=figures,
            service_database_url=cutter.behind(postgresql_url, "ssl=disable"),
        ) as it,
    ):
        await plays.commits_cut(it, cutter, 3)


@postgresql
async def test_database_connections_are_ended(tmp_path, postgresql_url, rabbitmq_url, figures):
    async with play("backends terminated", tmp_path, postgresql_url, rabbitmq_url, figures=figures) as it:
        await plays.backends_terminated(it, 1)


async def test_database_stops_at_once(tmp_path, rabbitmq_url, figures):
    async with (
        private_postgresql() as server,
        play("PostgreSQL stopped", tmp_path, server.url, rabbitmq_url, figures=figures, may_fail_to_start=True) as it,
    ):
        await plays.database_stopped(it, server, 1)


@postgresql
async def test_bus_cuts_connections_is_full_and_short_of_memory(tmp_path, postgresql_url, figures):
    async with (
        private_rabbits() as (node,),
        play(
            "RabbitMQ troubled",
            tmp_path,
            postgresql_url,
            node.url,
            figures=figures,
            settings=plays.LIMITED,
            may_fail_to_start=True,
        ) as it,
    ):
        what = "connections closed, memory alarm, full queue"
        await plays.bus_disturbed(it, lambda: plays.every_trouble(it, node), 1, what)


@postgresql
async def test_request_queue_is_deleted(tmp_path, postgresql_url, rabbitmq_url, figures):
    async with play(
        "request queue deleted", tmp_path, postgresql_url, rabbitmq_url, figures=figures, patience_seconds=3
    ) as it:
        await plays.request_queue_deleted(it)


@postgresql
async def test_alerts_find_no_queue(tmp_path, postgresql_url, rabbitmq_url, figures):
    async with play("alerts unroutable", tmp_path, postgresql_url, rabbitmq_url, figures=figures) as it:
        await plays.alerts_unroutable(it)


@postgresql
async def test_clock_jumps(tmp_path, postgresql_url, rabbitmq_url, figures):
    async with play("clock jumps", tmp_path, postgresql_url, rabbitmq_url, figures=figures) as it:
        await plays.clock_jumps(it, tmp_path / "clock", 1)


@postgresql
async def test_two_relays_and_one_hot_recipient(tmp_path, postgresql_url, rabbitmq_url, figures):
    settings = {"CHFW_SR_RELAY_BATCH": "5"}
    async with play(
        "hot recipient", tmp_path, postgresql_url, rabbitmq_url, figures=figures, hot=True, settings=settings
    ) as it:
        await plays.hot_recipient(it, 100)


async def test_sqlite_with_four_writers(tmp_path, rabbitmq_url, figures):
    database_url = f"sqlite+aiosqlite:///{tmp_path / 'store.sqlite3'}"
    async with play("SQLite, four writers", tmp_path, database_url, rabbitmq_url, figures=figures) as it:
        await plays.many_writers(it, 3, every=(0.3, 1))
