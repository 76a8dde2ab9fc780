"""`chfw-sr monitor`: what one look shows, and that it goes on looking until it is interrupted."""

import io
import os
import pty
import signal
import subprocess
import sys
import time
from dataclasses import replace
from datetime import timedelta

import pytest
from rich.console import Console

from chfw_sr.bootstrap.buses import open_depths
from chfw_sr.campaign.changes import CampaignEvent, CampaignSaved
from chfw_sr.campaign.model import PhaseTimes
from chfw_sr.cli.monitor import NEWEST, Running, Snapshot, frame, look, look_again
from chfw_sr.messages import Phase, PhaseCounts, Stage
from chfw_sr.service.ports import DEPTH_LIMIT, Cause, Depths, InboxEntry, Unavailable
from chfw_sr.settings import PREFIX, load_settings
from chfw_sr.storage.memory import MemoryStore
from tests.contract.makers import AT, C1, DAY, HOUR, apply, campaign, create, hub, quarantined, stock

HOSTILE = "[bold]\x1b[31mred"


def counted(activated: int, failed: int = 0) -> PhaseCounts:
    pending = 5000 - activated - failed
    return PhaseCounts(devices=5000, scheduled=0, activated=activated, failed=failed, pending=pending)


def refused(number: int, code: str = "E110602") -> InboxEntry:
    return InboxEntry(f"request {number}", b"", "11.6", code, AT - number * HOUR, conflict=False)


RUNNING = campaign(C1, stage=Stage.PILOT, pilot=PhaseTimes(AT, AT + DAY, AT), next_status_at=AT + HOUR)
QUIET = Snapshot(AT, Depths(0, None, 0, {}), (), (), ())
BUSY = Snapshot(
    at=AT,
    depths=Depths(1234, AT - timedelta(seconds=90), DEPTH_LIMIT, {}),
    running=(Running(RUNNING, {Phase.PILOT: counted(3000, 20)}),),
    requests=(refused(1), refused(2, "I99")),
    quarantined=(quarantined(reason=HOSTILE, id=5), quarantined(id=4, replayed_at=AT)),
    queues={"chfw.requests": 77},
)


def drawn(seen: Snapshot, before: Snapshot | None = None) -> str:
    console = Console(width=160, record=True, file=io.StringIO())
    console.print(frame(seen, before))
    return console.export_text()


def test_a_quiet_service_has_little_to_show() -> None:
    shown = drawn(QUIET)
    for part in ("no live campaign", "none among the newest 0", "messages to publish", "empty"):
        assert part in shown


def test_a_busy_service_shows_campaigns_backlog_refusals_and_quarantine() -> None:
    shown = drawn(BUSY)
    for part in (
        "C1",
        "Pilot (Pilot)",
        "5,000",
        "3,000",
        "1,980",
        "2026-03-01T13:00",
        "1,234, the oldest for 90 s",
        "100,000 or more",
        "queue chfw.requests",
        "77",
        "E110602",
        "request 1",
    ):
        assert part in shown, part
    assert "request 2" not in shown, "it was not refused"


def test_what_came_in_from_outside_does_nothing() -> None:
    shown = drawn(BUSY)
    assert "\x1b[31mred" not in shown
    assert "[bold]\\x1b[31mred" in shown


def test_rates_are_measured_from_one_look_to_the_next() -> None:
    later = replace(
        BUSY,
        at=AT + timedelta(seconds=30),
        running=(Running(RUNNING, {Phase.PILOT: counted(3500, 20)}),),
        requests=tuple(replace(refused(number), received_at=AT + timedelta(seconds=1)) for number in range(7)),
    )
    shown = drawn(later, BUSY)
    assert "1,000" in shown, "500 results in half a minute"
    assert "requests answered a minute" in shown
    assert "14" in shown
    flood = replace(later, requests=later.requests[:1] * NEWEST)
    assert "at least 1,000" in drawn(flood, BUSY)


def test_a_campaign_without_hubs_and_a_server_that_is_away_are_shown() -> None:
    seen = replace(BUSY, running=(Running(campaign(), {}),), unavailable="no RabbitMQ at host:1", queues=None)
    assert "publishes a Pilot Plan" in drawn(seen)
    assert "no RabbitMQ at host:1" in drawn(seen)


class Away:
    async def look(self):
        raise Unavailable("gone")


async def test_a_look_takes_in_live_campaigns_only_and_survives_a_broker_that_is_away() -> None:
    store = MemoryStore()
    await stock(store, hub(1))
    await create(store, campaign())
    seen = await look(store, Away(), AT)
    assert [each.campaign.campaign_id for each in seen.running] == [C1]
    assert (seen.queues, seen.unavailable) == (None, "gone")
    await apply(store, CampaignSaved(campaign(stage=Stage.ABORTED), CampaignEvent.STAGE_CHANGED), cause=Cause(AT))
    assert (await look(store, None, AT)).running == ()


@pytest.mark.rabbitmq
async def test_queues_are_asked_for_where_there_is_a_server(rabbitmq_url) -> None:
    async with open_depths(load_settings({"amqp_url": rabbitmq_url}, {})) as queues:
        assert queues is not None
        assert await queues.look() == {}
        assert await queues.look() == {}
    async with open_depths(load_settings({"amqp_url": "amqp://127.0.0.1:1"}, {})) as queues:
        assert queues is not None
        with pytest.raises(Unavailable):
            await queues.look()


async def test_a_database_that_goes_away_is_said_beside_what_was_seen_last(monkeypatch) -> None:
    async def away(*_):
        raise Unavailable("the database is away")

    monkeypatch.setattr("chfw_sr.cli.monitor.look", away)
    seen = await look_again(MemoryStore(), None, BUSY)
    assert (seen.at, seen.running) == (BUSY.at, BUSY.running)
    assert "the database is away" in drawn(seen)


def test_once_prints_one_frame(cli) -> None:
    result = cli("monitor", "--once")
    assert result.exit_code == 0
    assert result.stdout.count("no live campaign") == 1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_looks_again_and_again_until_it_is_told_to_stop(url, tmp_path, number) -> None:
    main, second = pty.openpty()
    environment = os.environ | {f"{PREFIX}DATABASE_URL": url, "TERM": "xterm", "COLUMNS": "120", "LINES": "40"}
    command = [sys.executable, "-m", "chfw_sr", "monitor", "--every", "0.1"]
    with subprocess.Popen(
        command, stdin=second, stdout=second, stderr=second, env=environment, cwd=tmp_path
    ) as process:
        os.close(second)
        shown, end = b"", time.monotonic() + 60
        while shown.count(b"no live campaign") < 3:
            assert time.monotonic() < end, shown
            shown += os.read(main, 65536)
        process.send_signal(number)
        try:
            while os.read(main, 65536):
                pass
        except OSError:  # its side of the terminal is closed
            pass
        assert process.wait(timeout=60) == 0
    os.close(main)
