import csv
import io
import json
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from chfw_sr.campaign.changes import (
    ActivationsRecorded,
    CampaignEvent,
    CampaignSaved,
    DefaultListSet,
    Lot,
    ParticipationSaved,
    PilotAllotted,
    PreferenceEvent,
    RankRange,
    RecordedActivation,
    SafeLaunchAllotted,
)
from chfw_sr.campaign.facts import Needs
from chfw_sr.campaign.model import Campaign, Hub, Participation, PhaseTimes, User
from chfw_sr.messages import (
    Activation,
    ActivationResult,
    HubStatus,
    Period,
    Phase,
    Region,
    RequestID,
    ResponseCode,
    Role,
    Stage,
    Window,
)
from chfw_sr.service.ports import (
    Cause,
    Claim,
    InboxRecord,
    MessageKind,
    OutboxMessage,
    OutboxStatus,
    Quarantined,
    UserRecord,
)

DCC, ALPHA, BETA = "90-B3-D5-1F-30-00-00-02", "90-B3-D5-1F-30-01-00-00", "90-B3-D5-1F-30-02-00-00"
HUBS = [f"90-B3-D5-1F-30-A0-00-{number:02X}" for number in range(6)]
REQUEST = RequestID(originator=DCC, target=DCC, counter=7)
HOSTILE = b"<a>\x1b[31m\xff</a>"


@pytest.fixture
def draft(noon):
    return Campaign(
        campaign_id="C-1",
        operator=DCC,
        manufacturer="Makers",
        model="X",
        firmware_version="2.0",
        regions=frozenset({Region.NORTH, Region.SOUTH}),
        pilot_period=Period(start=noon, end=noon + timedelta(days=9)),
        safe_launch_period=None,
        minimum_notice_days=7,
        pilot_devices=None,
        failure_threshold=Decimal("2.5"),
        created_at=noon - timedelta(days=30),
    )


@pytest.fixture
def campaign(on_store, draft, noon):
    """A Pilot that runs: Alpha has four hubs (two done, one failed), Beta two whose window is to come."""
    first = Window(window_id=1, start=noon, end=noon + timedelta(hours=4))
    second = Window(window_id=2, start=noon + timedelta(days=1), end=noon + timedelta(days=2))
    running = replace(
        draft,
        stage=Stage.PILOT,
        response_deadline=noon - timedelta(days=1),
        default_schedule=(first, second),
        pilot=PhaseTimes(starts_at=noon, ends_at=second.end, started_at=noon),
    )
    results = ((HUBS[0], "Success", None), (HUBS[1], "Success", None), (HUBS[2], "Failure", "no\x1b signal"))
    activations = tuple(
        RecordedActivation(
            Activation(
                device_id=hub,
                firmware_version="2.0",
                at=noon + timedelta(minutes=5),
                result=ActivationResult(result),
                failure_reason=reason,
            ),
            "C-1",
            Phase.PILOT,
        )
        for hub, result, reason in results
    )

    async def fill(store):
        users = (User(ALPHA, "Alpha", frozenset({Role.IS})), User(BETA, "Beta", frozenset({Role.GS})))
        await store.register.save_users([UserRecord(user) for user in users], noon)
        hubs = [
            Hub(eui, "Makers", "X", "1.0", Region.SOUTH if number % 2 else Region.NORTH, HubStatus.COMMISSIONED)
            for number, eui in enumerate(HUBS)
        ]

        async def chunks():
            yield hubs

        await store.register.import_hubs(chunks(), noon)
        async with store.begin() as work:
            changes = (
                CampaignSaved(draft, CampaignEvent.CREATED),
                DefaultListSet("C-1", {ALPHA: tuple(HUBS[:4]), BETA: tuple(HUBS[4:])}),
                ParticipationSaved(Participation("C-1", ALPHA, 4, pilot_devices=4), PreferenceEvent.PLAN_CONFIRMED),
                ParticipationSaved(
                    Participation("C-1", BETA, 2, 2, (second,), pilot_devices=2), PreferenceEvent.PLAN_CONFIRMED
                ),
                PilotAllotted("C-1", (Lot(ALPHA, first, tuple(HUBS[:4])), Lot(BETA, second, tuple(HUBS[4:])))),
                CampaignSaved(running, CampaignEvent.STAGE_CHANGED, "the first window starts"),
                ActivationsRecorded(activations),
            )
            await work.apply(changes, Cause(noon, REQUEST))
            await work.commit()

    on_store(fill)


# ------------------------------------------------------------------------------------------------------------- campaign


def test_a_campaign_is_listed(cli, campaign):
    (listed,) = json.loads(cli("campaign", "list", "--json").stdout)
    assert (listed["campaign_id"], listed["stage"], listed["failure_threshold"]) == ("C-1", "Pilot", "2.5")
    shown = cli("campaign", "list")
    assert "C-1" in shown.stdout
    assert shown.stderr == ""


def test_a_draft_has_no_participants(cli, on_store, draft, noon):
    async def save(store):
        async with store.begin() as work:
            await work.apply([CampaignSaved(draft, CampaignEvent.CREATED)], Cause(noon))
            await work.commit()

    on_store(save)
    shown = cli("campaign", "show", "C-1").stdout
    assert "Draft" in shown
    assert "Participants" not in shown
    assert "Schedule" not in shown


def test_no_campaign_at_all(cli):
    assert json.loads(cli("campaign", "list", "--json").stdout) == []
    assert cli("report").stdout == ""
    assert json.loads(cli("report", "--json").stdout) == []


def test_a_campaign_is_shown_whole(cli, campaign):
    shown = json.loads(cli("campaign", "show", "C-1", "--json").stdout)
    pilot, safe_launch = shown["phases"]
    assert (pilot["phase"], pilot["result"], pilot["started_at"]) == ("Pilot", "Running", "2026-03-02T12:00:00Z")
    assert (pilot["devices"], pilot["activated"], pilot["failed"]) == (6, 2, 1)
    assert (safe_launch["result"], safe_launch["devices"]) == ("NotStarted", 0)
    alpha, beta = shown["participants"]
    assert (alpha["name"], alpha["pilot_devices"], alpha["nominated_devices"]) == ("Alpha", 4, None)
    assert (beta["supplier"], beta["nominated_devices"]) == (BETA, 2)
    assert beta["preferred_schedule"][0]["window_id"] == 2
    assert {row["request_id"] for row in shown["history"]} == {str(REQUEST)}
    assert shown["history"][0]["kind"] == "CampaignCreated"
    assert "pilot" not in shown


def test_a_campaign_is_shown_as_text(cli, campaign):
    shown = cli("campaign", "show", "C-1").stdout
    for text in ("Phases", "Running", "NotStarted", "Default Pilot Schedule", "Participants", "Alpha", "StageChanged"):
        assert text in shown
    assert "Safe Launch Schedule" not in shown


def test_the_history_can_be_cut(cli, campaign):
    whole = json.loads(cli("campaign", "show", "C-1", "--json").stdout)["history"]
    cut = json.loads(cli("campaign", "show", "C-1", "--json", "--history", "1").stdout)["history"]
    assert cut == whole[-1:]
    assert json.loads(cli("campaign", "show", "C-1", "--json", "--history", "0").stdout)["history"] == []
    assert "History" not in cli("campaign", "show", "C-1", "--history", "0").stdout


@pytest.mark.parametrize("command", [("campaign", "show", "C-2"), ("report", "C-2"), ("campaign", "show", "no such")])
def test_a_campaign_that_does_not_exist(cli, campaign, command):
    result = cli(*command)
    assert (result.exit_code, result.stdout) == (1, "")
    assert f"no campaign {command[-1]}; see: chfw-sr campaign list" in result.stderr


# --------------------------------------------------------------------------------------------------------------- report


def test_the_report_counts_in_all_by_supplier_and_by_region(cli, campaign):
    result = cli("report", "C-1", "--json", "--at", "2026-03-02T14:00:00+01:00")
    (report,) = json.loads(result.stdout)
    assert (report["as_of"], report["stage"]) == ("2026-03-02T13:00:00Z", "Pilot")
    pilot, safe_launch = report["phases"]
    total = {"devices": 6, "scheduled": 2, "activated": 2, "failed": 1, "pending": 1}
    assert (pilot["result"], pilot["total"]) == ("Running", total)
    assert pilot["by_supplier"] == [
        {"supplier": ALPHA, "name": "Alpha"}
        | {"devices": 4, "scheduled": 0, "activated": 2, "failed": 1, "pending": 1},
        {"supplier": BETA, "name": "Beta"} | {"devices": 2, "scheduled": 2, "activated": 0, "failed": 0, "pending": 0},
    ]
    assert [(row["region"], row["devices"], row["activated"]) for row in pilot["by_region"]] == [
        ("North", 3, 1),
        ("South", 3, 1),
    ]
    assert (safe_launch["result"], safe_launch["by_supplier"]) == ("NotStarted", [])


def test_the_report_as_csv_has_a_line_for_every_count(cli, campaign):
    result = cli("report", "--format", "csv", "--at", "2026-03-02T13:00:00Z")
    rows = list(csv.DictReader(io.StringIO(result.stdout)))
    assert [(row["phase"], row["scope"], row["name"] or row["region"], row["devices"]) for row in rows] == [
        ("Pilot", "total", "", "6"),
        ("Pilot", "supplier", "Alpha", "4"),
        ("Pilot", "supplier", "Beta", "2"),
        ("Pilot", "region", "North", "3"),
        ("Pilot", "region", "South", "3"),
        ("SafeLaunch", "total", "", "0"),
    ]
    assert {(row["campaign"], row["stage"]) for row in rows} == {("C-1", "Pilot")}


@pytest.mark.parametrize("at", ["2026", "2026-03-02T13:00:00"])
def test_a_time_without_an_offset_is_no_time(cli, at):
    result = cli("report", "--at", at)
    assert result.exit_code == 2
    assert "2026-03-01T09:00:00Z" in result.stderr or "offset" in result.stderr


def test_the_report_as_a_page(cli, campaign, tmp_path):
    result = cli("report", "C-1", "--html", str(tmp_path / "status.html"), "--at", "2026-03-02T13:00:00Z")
    assert (result.exit_code, result.stdout) == (0, "")
    assert "status.html" in result.stderr
    assert "C-1" in (tmp_path / "status.html").read_text("utf-8")


def test_a_page_that_cannot_be_written_is_said(cli, campaign, tmp_path):
    result = cli("report", "C-1", "--html", str(tmp_path / "no" / "status.html"))
    assert result.exit_code == 2
    assert "No such file" in result.stderr


def test_the_report_tells_what_comes_next_and_what_was_reported(cli, campaign):
    (report,) = json.loads(cli("report", "C-1", "--json", "--at", "2026-03-02T13:00:00Z").stdout)
    assert {"upcoming", "hours", "failures", "silent"} <= report.keys()
    assert all(each["at"] is None or each["at"].endswith("Z") for each in report["upcoming"])


def test_the_report_as_text(cli, campaign):
    shown = cli("report").stdout
    assert shown.startswith("C-1: Pilot, version 2.0, ")
    assert "Pilot: Running" in shown
    assert f"{ALPHA} Alpha" in shown
    assert "SafeLaunch: NotStarted\n  no hubs" in shown


def test_hubs_without_a_supplier_are_counted_too(cli, campaign, on_store, noon):
    window = Window(window_id=1, start=noon, end=noon + timedelta(hours=4))

    async def allot(store):
        async with store.begin() as work:
            facts = await work.facts(Needs(campaign="C-1", remaining=True))
            left = facts.remaining[None]
            await work.apply([SafeLaunchAllotted("C-1", (RankRange(window, 0, left),))], Cause(noon))
            await work.commit()
            return left

    left = on_store(allot)
    assert left > 0
    assert "(no Supplier)" in cli("report", "C-1").stdout
    (report,) = json.loads(cli("report", "C-1", "--json").stdout)
    (row,) = report["phases"][1]["by_supplier"]
    assert (row["supplier"], row["name"], row["devices"]) == (None, None, left)


# ------------------------------------------------------------------------------------------------------------------ hub


def test_a_hub_is_shown_with_its_timeline(cli, campaign):
    shown = json.loads(cli("hub", "show", HUBS[2].lower(), "--json").stdout)
    assert (shown["eui"], shown["membership"]["campaign_id"], shown["membership"]["outcome"]) == (
        HUBS[2],
        "C-1",
        "Failure",
    )
    (activation,) = shown["activations"]
    assert (activation["result"], activation["failure_reason"]) == ("Failure", "no\x1b signal")
    assert shown["history"]
    text = cli("hub", "show", HUBS[2]).stdout
    assert r"no\x1b signal" in text
    assert "\x1b" not in text
    assert "Timeline" in text


def test_a_hub_without_results(cli, campaign):
    assert "Activations" not in cli("hub", "show", HUBS[5]).stdout


def test_a_hub_that_nothing_happened_to(cli):
    hub = f"eui,manufacturer,model,firmware_version,region,status\n{HUBS[0]},Makers,X,1,North,Pending\n"
    cli("inventory", "import", "-", stdin=hub)
    shown = cli("hub", "show", HUBS[0]).stdout
    assert "Pending" in shown
    assert "Timeline" not in shown


def test_a_hub_that_does_not_exist(cli):
    result = cli("hub", "show", HUBS[0])
    assert (result.exit_code, result.stdout) == (1, "")
    assert f"no hub {HUBS[0]}" in result.stderr


# --------------------------------------------------------------------------------------------------------------- queues


@pytest.fixture
def traffic(on_store, noon):
    """Two requests of which one conflicts, three messages of which one is published, two inputs in quarantine."""

    async def fill(store):
        claims = [Claim(REQUEST, bytes([number]) * 32) for number in (1, 2)]
        for number, claim in enumerate(claims):
            async with store.begin() as work:
                await work.claim([claim])
                code = (ResponseCode.I99, ResponseCode.E903)[number]
                await work.finish([InboxRecord(claim, "11.20", code, b"<r/>", noon + timedelta(seconds=number))])
                await work.commit()
        async with store.begin() as work:
            first = await work.reserve(3)
            await work.enqueue(
                [
                    OutboxMessage(first, MessageKind.RESPONSE, ALPHA, "R:1", "11.6", b"<r/>", noon, "cid", {"h": "v"}),
                    OutboxMessage(first + 1, MessageKind.ALERT, ALPHA, "A:1", "N902", b"<alert/>", noon),
                    OutboxMessage(first + 2, MessageKind.ALERT, BETA, "A:2", "N64", b"<alert/>", noon),
                ]
            )
            await work.quarantine(
                [
                    Quarantined(HOSTILE, ResponseCode.E900, "not well-formed \x1b[31m", noon, "back", "c", "file.xml"),
                    Quarantined(b"<second/>", ResponseCode.E902, "no Signature", noon + timedelta(seconds=1)),
                ]
            )
            await work.commit()
        *alerts, response = await store.outbox.claim("t", 10, noon, 60)
        await store.outbox.mark("t", [response], OutboxStatus.PUBLISHED, noon)
        await store.outbox.mark("t", alerts, OutboxStatus.READY, noon)

    on_store(fill)


def test_the_inbox_is_listed_newest_first(cli, traffic):
    newest, oldest = json.loads(cli("inbox", "list", "--json").stdout)
    assert (newest["code"], newest["conflict"], oldest["code"], oldest["conflict"]) == ("E903", True, "I99", False)
    assert oldest["request_id"] == str(REQUEST)
    assert json.loads(cli("inbox", "list", "--limit", "1", "--json").stdout) == [newest]
    shown = cli("inbox", "list").stdout
    assert shown.index("E903") < shown.index("I99")


def test_the_outbox_is_listed_in_order(cli, traffic):
    listed = json.loads(cli("outbox", "list", "--json").stdout)
    assert [(each["message_id"], each["status"]) for each in listed] == [
        ("R:1", "Published"),
        ("A:1", "Ready"),
        ("A:2", "Ready"),
    ]
    assert (listed[0]["correlation_id"], listed[0]["headers"], listed[0]["octets"]) == ("cid", {"h": "v"}, 4)
    assert listed[0]["published_at"] == "2026-03-02T12:00:00Z"
    ready = cli("outbox", "list", "--status", "Ready").stdout
    assert "A:1" in ready
    assert "R:1" not in ready


def test_a_status_that_does_not_exist(cli):
    result = cli("outbox", "list", "--status", "Lost")
    assert result.exit_code == 2
    assert "Ready" in result.stderr


def test_the_quarantine_is_listed_without_obeying_it(cli, traffic):
    newest, oldest = json.loads(cli("quarantine", "list", "--json").stdout)
    assert (newest["code"], oldest["code"], oldest["source"], oldest["octets"]) == ("E902", "E900", "file.xml", 13)
    shown = cli("quarantine", "list").stdout
    assert "\x1b" not in shown
    assert r"not well-formed \x1b[31m" in shown


def test_an_item_is_shown_readable_or_untouched(cli, traffic):
    item = json.loads(cli("quarantine", "list", "--json").stdout)[1]["id"]
    shown = cli("quarantine", "show", item)
    assert "\x1b" not in shown.stdout
    assert r"<a>\x1b[31m\xff</a>" in shown.stdout
    assert cli("quarantine", "show", item, "--raw").stdout_bytes == HOSTILE
    data = json.loads(cli("quarantine", "show", item, "--json").stdout)
    assert (data["reply_to"], data["correlation_id"], data["content"]) == ("back", "c", "<a>\x1b[31m\\xff</a>")


def test_an_item_that_does_not_exist(cli):
    result = cli("quarantine", "show", "3")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "chfw-sr quarantine list" in result.stderr
