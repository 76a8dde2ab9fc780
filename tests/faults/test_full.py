"""The long plays: `make test-faults`. `CHFW_SR_TEST_FAULTS_SECONDS` sets the length of the random kills (600)."""

import os
from urllib.parse import urlsplit

import pytest

from . import plays
from .play import play
from .servers import CommitCutter, Proxy, private_postgresql, private_rabbits

pytestmark = [pytest.mark.faults, pytest.mark.rabbitmq, pytest.mark.timeout(1800)]

postgresql = pytest.mark.postgresql

RANDOM_SECONDS = float(os.environ.get("CHFW_SR_TEST_FAULTS_SECONDS", "600"))


@postgresql
async def test_no_faults(tmp_path, postgresql_url, rabbitmq_url, figures):
    async with play("no faults", tmp_path, postgresql_url, rabbitmq_url, figures=figures) as it:
        await plays.undisturbed(it, 10)


@postgresql
@pytest.mark.parametrize("point", plays.POINTS)
async def test_sigkill_at_a_point(point, tmp_path, postgresql_url, rabbitmq_url, figures):
    name = f"SIGKILL at {point}"
    async with play(name, tmp_path, postgresql_url, rabbitmq_url, figures=figures, loose=20_000) as it:
        await plays.killed_at_each_point(it, 50, points=[point])


@postgresql
async def test_random_sigkills_of_two_workers_and_two_relays(tmp_path, postgresql_url, rabbitmq_url, figures):
    async with play(
        "random SIGKILLs", tmp_path, postgresql_url, rabbitmq_url, figures=figures, campaigns=100, loose=200_000
    ) as it:
        await plays.killed_at_random(it, RANDOM_SECONDS, every=(1, 6), clocked=10)


@postgresql
async def test_sigterm_under_load(tmp_path, postgresql_url, rabbitmq_url, figures):
    async with play("SIGTERM under load", tmp_path, postgresql_url, rabbitmq_url, figures=figures, loose=20_000) as it:
        await plays.told_to_end(it, 20)


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
            loose=20_000,
            service_database_url=cutter.behind(postgresql_url, "ssl=disable"),
        ) as it,
    ):
        await plays.commits_cut(it, cutter, 100)


@postgresql
async def test_database_connections_are_ended(tmp_path, postgresql_url, rabbitmq_url, figures):
    async with play(
        "backends terminated every second", tmp_path, postgresql_url, rabbitmq_url, figures=figures, loose=20_000
    ) as it:
        await plays.backends_terminated(it, 60)


async def test_database_stops_at_once(tmp_path, rabbitmq_url, figures):
    async with (
        private_postgresql() as server,
        play("PostgreSQL stopped", tmp_path, server.url, rabbitmq_url, figures=figures, may_fail_to_start=True) as it,
    ):
        await plays.database_stopped(it, server, 1, 30, 1)


@postgresql
async def test_rabbitmq_is_killed(tmp_path, postgresql_url, figures):
    async with (
        private_rabbits() as (node,),
        play("RabbitMQ killed", tmp_path, postgresql_url, node.url, figures=figures, may_fail_to_start=True) as it,
    ):
        await node.remember_queues()
        await plays.bus_disturbed(it, lambda: plays.killed_and_started(node), 20, "20 kills and restarts")


@postgresql
async def test_connections_to_rabbitmq_are_closed(tmp_path, postgresql_url, figures):
    async with (
        private_rabbits() as (node,),
        play(
            "all RabbitMQ connections closed", tmp_path, postgresql_url, node.url, figures=figures, loose=20_000
        ) as it,
    ):
        await plays.bus_disturbed(it, lambda: plays.connections_closed(node), 50, "50 times")


@postgresql
async def test_rabbitmq_runs_short_of_memory(tmp_path, postgresql_url, figures):
    async with (
        private_rabbits() as (node,),
        play("RabbitMQ memory alarm", tmp_path, postgresql_url, node.url, figures=figures) as it,
    ):
        await plays.bus_disturbed(it, lambda: plays.memory_alarm(node, 60), 1, "60 s")


@postgresql
async def test_queue_of_a_user_is_full(tmp_path, postgresql_url, figures):
    async with (
        private_rabbits() as (node,),
        play(
            "a User's queue full",
            tmp_path,
            postgresql_url,
            node.url,
            figures=figures,
            loose=20_000,
            settings=plays.LIMITED,
        ) as it,
    ):
        what = "20 times, 60 alerts wait each time"
        await plays.bus_disturbed(it, lambda: plays.queue_full(it, node, 60), 20, what)


@postgresql
async def test_leader_of_a_cluster_is_killed(tmp_path, postgresql_url, figures):
    async with private_rabbits(3) as nodes:
        balancer = Proxy(*(("127.0.0.1", node.port) for node in nodes))
        async with (
            balancer.listening(),
            play(
                "three-node RabbitMQ",
                tmp_path,
                postgresql_url,
                balancer.behind(nodes[0].url),
                figures=figures,
                may_fail_to_start=True,
            ) as it,
        ):
            what = "5 kills of the request queue's leader"
            await plays.bus_disturbed(it, lambda: plays.leader_killed(it, nodes), 5, what)


@postgresql
async def test_request_queue_is_deleted(tmp_path, postgresql_url, rabbitmq_url, figures):
    async with play(
        "request queue deleted", tmp_path, postgresql_url, rabbitmq_url, figures=figures, patience_seconds=5
    ) as it:
        await plays.request_queue_deleted(it)


@postgresql
async def test_alerts_find_no_queue(tmp_path, postgresql_url, rabbitmq_url, figures):
    async with play("alerts unroutable", tmp_path, postgresql_url, rabbitmq_url, figures=figures) as it:
        await plays.alerts_unroutable(it)


@postgresql
async def test_clock_jumps(tmp_path, postgresql_url, rabbitmq_url, figures):
    async with play("clock jumps", tmp_path, postgresql_url, rabbitmq_url, figures=figures) as it:
        await plays.clock_jumps(it, tmp_path / "clock", 5)


@postgresql
async def test_two_relays_and_one_hot_recipient(tmp_path, postgresql_url, rabbitmq_url, figures):
    settings = {"CHFW_SR_RELAY_BATCH": "5"}
    async with play(
        "two relays, one hot recipient",
        tmp_path,
        postgresql_url,
        rabbitmq_url,
        figures=figures,
        loose=20_000,
        hot=True,
        settings=settings,
    ) as it:
        await plays.hot_recipient(it, 5000)


async def test_sqlite_with_four_writers(tmp_path, rabbitmq_url, figures):
    database_url = f"sqlite+aiosqlite:///{tmp_path / 'store.sqlite3'}"
    async with play("SQLite, four writers", tmp_path, database_url, rabbitmq_url, figures=figures, loose=20_000) as it:
        await plays.many_writers(it, 60, every=(1, 4))
