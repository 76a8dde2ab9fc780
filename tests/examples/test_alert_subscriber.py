"""The alert subscriber: its table says what the alerts said, whatever comes twice or in the wrong order."""

import asyncio
import sqlite3
from contextlib import aclosing, closing
from dataclasses import replace
from datetime import timedelta

import pytest
from examples.alert_subscriber.subscriber import subscribe
from examples.alert_subscriber.table import HubTable

from chfw_sr.client import ReceivedAlert
from chfw_sr.messages import (
    CampaignID,
    CommsHubFirmwareActivation,
    CommsHubFirmwareActivationFailed,
    PilotPlanConfirmed,
    ResponseID,
    Source,
    Window,
)
from tests.client.parts import DCC, HUB, NOW, SUPPLIER
from tests.contract.buses import RabbitUnderTest

from .test_supplier_adapter import keys, run_example

__all__ = ["keys"]


def received(body, minutes: int = 0) -> ReceivedAlert:
    name = ResponseID(originator=DCC, target=SUPPLIER, counter=1)
    return ReceivedAlert(name, body, NOW + timedelta(minutes=minutes), b"")


PLAN = received(
    PilotPlanConfirmed(
        campaign_id=CampaignID("C-1"),
        pilot_list=(HUB,),
        schedule=(Window(window_id=1, start=NOW, end=NOW),),
        list_source=Source.DEFAULT,
        schedule_source=Source.DEFAULT,
    )
)
FAILED = received(
    CommsHubFirmwareActivationFailed(device_id=HUB, firmware_version="02.00", failure_reason="image refused"), 1
)
ACTIVATED = received(CommsHubFirmwareActivation(device_id=HUB, firmware_version="02.00"), 2)


@pytest.fixture
def table(tmp_path):
    table = HubTable(tmp_path / "hubs.sqlite3")
    yield table
    table.close()


def test_the_newest_counts_in_any_order_and_however_often(table):
    table.put([PLAN, FAILED])
    assert table.rows()[0][:5] == (HUB, "Failed", "02.00", "image refused", "C-1")
    table.put([ACTIVATED, FAILED, PLAN, ACTIVATED])
    assert table.rows()[0][:5] == (HUB, "Activated", "02.00", None, "C-1")
    assert table.states() == {"Activated": 1}


def test_an_older_alert_of_another_year_does_not_win_by_its_text(table):
    table.put([ACTIVATED, replace(FAILED, at=NOW - timedelta(days=4000))])
    assert table.states() == {"Activated": 1}


async def test_what_was_put_but_not_acknowledged_comes_again_and_changes_nothing(desk, journal, table):
    await desk.alerts([1, 2, 3])

    async def die_after(count: int) -> None:
        async with desk.client(journal) as client, aclosing(subscribe(client, table)) as counts:
            rows = 0
            while rows < count:
                rows += await anext(counts)

    await die_after(1)
    before = table.rows()
    assert before
    await die_after(3)
    assert [row for row in table.rows() if row in before] == before
    assert table.states() == {"Activated": 3}


async def test_it_rehearses_without_a_server():
    process = await run_example("examples.alert_subscriber", "--rehearse")
    output, errors = await process.communicate()
    assert (process.returncode, errors) == (0, b"")
    assert output.decode().splitlines()[-1] == "2 Activated, 1 Failed"


async def test_rabbitmq_it_fills_its_table(desk, keys, tmp_path):
    if not isinstance(desk.bus, RabbitUnderTest):
        pytest.skip("RabbitMQ's own")
    await desk.alerts([1, 2])
    path = tmp_path / "hubs.sqlite3"
    process = await run_example(
        "examples.alert_subscriber", "--amqp", desk.bus.server.url.geturl(), *keys[1], "--table", str(path)
    )
    try:
        line = b""
        while line != b"2 Activated\n":
            line = await process.stdout.readline()
            assert line
    finally:
        process.terminate()
        _, errors = await process.communicate()
    assert errors == b""
    with sqlite3.connect(path) as connection:
        assert connection.execute("SELECT count(*) FROM hubs").fetchone() == (2,)
    connection.close()
    shown = await run_example("examples.alert_subscriber", "--show", "--table", str(path))
    output, _ = await shown.communicate()
    assert output.count(b"Activated") == 2


@pytest.mark.rabbitmq
async def test_rabbitmq_a_subscriber_that_is_killed_goes_on_where_it_was(rabbit_desk, keys, tmp_path):
    path = tmp_path / "hubs.sqlite3"
    command = (
        *("examples.alert_subscriber", "--amqp", rabbit_desk.bus.server.url.geturl()),
        *(*keys[1], "--table", str(path)),
    )
    killed = await run_example(*command)
    putting = asyncio.create_task(rabbit_desk.alerts(range(1, 61)))
    assert await killed.stdout.readline()
    killed.kill()
    await killed.communicate()
    await putting
    await rabbit_desk.alerts([61])  # so that there is something left, however quick the first one was
    process = await run_example(*command)
    try:
        line = b""
        while line != b"61 Activated\n":
            line = await process.stdout.readline()
            assert line
    finally:
        process.terminate()
        await process.communicate()
    with closing(HubTable(path)) as table:
        assert table.states() == {"Activated": 61}
