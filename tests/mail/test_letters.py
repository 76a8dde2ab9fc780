"""What mails say: every alert has words, long lists are attached, and nothing from outside does any harm."""

import csv
import io
from datetime import UTC, datetime, timedelta
from typing import get_args
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings

from chfw_sr.mail.bundles import Bounds, bundles
from chfw_sr.mail.digest import Told, digest
from chfw_sr.mail.letters import _LETTERS, _STAGES, Letter, letter
from chfw_sr.mail.sheets import sheet
from chfw_sr.mail.times import both
from chfw_sr.messages import (
    EUI,
    AnyAlertBody,
    CommsHubFirmwareActivation,
    CommsHubFirmwareActivationFailed,
    PilotPlanConfirmed,
    PilotPlanPublished,
    RequestID,
    ResponseCode,
    ServiceRequestRejected,
    Source,
    Stage,
    Window,
)
from chfw_sr.service.ports import Channels, Contact, parse_address
from tests import strategies
from tests.contract.makers import message

LONDON = ZoneInfo("Europe/London")
AT = datetime(2027, 7, 14, 17, 30, tzinfo=UTC)
HUBS = tuple(EUI(f"00-DB-12-34-56-78-90-{number:02X}") for number in range(200))
WINDOWS = tuple(
    Window(window_id=number, start=AT + number * timedelta(hours=2), end=AT + (number * 2 + 1) * timedelta(hours=1))
    for number in range(1, 21)
)


def rows(octets: bytes) -> list[list[str]]:
    return list(csv.reader(io.StringIO(octets.decode(), newline="")))


def whole(told: Letter) -> str:
    return "\n\n".join((told.subject, *told.paragraphs))


def test_times_are_told_in_utc_and_by_local_clocks() -> None:
    assert both(AT, LONDON) == "14 Jul 2027 17:30 UTC (14 Jul 2027 18:30 BST)"
    assert both(datetime(2027, 1, 31, 23, 5, tzinfo=UTC), LONDON) == "31 Jan 2027 23:05 UTC (31 Jan 2027 23:05 GMT)"


def test_every_alert_and_every_stage_has_words() -> None:
    activations = {CommsHubFirmwareActivation, CommsHubFirmwareActivationFailed}
    assert set(_LETTERS) | activations == set(get_args(AnyAlertBody))
    assert set(_STAGES) == set(Stage)


@settings(max_examples=60, deadline=None)
@given(strategies.alerts())
def test_any_alert_makes_a_subject_of_one_line_and_text_that_can_be_printed(alert) -> None:
    if isinstance(alert.body, CommsHubFirmwareActivation | CommsHubFirmwareActivationFailed):
        told = digest([Told(alert.body, AT, "a:b:1")], LONDON)
    else:
        told = letter(alert.body, LONDON)
    assert told.subject.isprintable()
    assert all(line.isprintable() for paragraph in told.paragraphs for line in paragraph.split("\n"))
    assert told.paragraphs


def plan(hubs: int, windows: int) -> PilotPlanPublished:
    return PilotPlanPublished(
        campaign_id="CH-2027-01",
        firmware_version="02.00",
        manufacturer="Acme",
        model="Hub-1",
        response_deadline=AT,
        default_list=HUBS[:hubs],
        default_schedule=WINDOWS[:windows],
    )


def test_a_short_plan_says_all_in_the_text() -> None:
    told = letter(plan(2, 2), LONDON)
    assert told.sheets == ()
    for part in ("CH-2027-01", "please answer by 14 Jul 2027 17:30 UTC", HUBS[0], HUBS[1], "Window 2:", "11.6"):
        assert part in whole(told)


def test_a_long_plan_has_its_lists_attached() -> None:
    told = letter(plan(200, 20), LONDON)
    hubs, windows = told.sheets
    assert rows(hubs.octets) == [["position", "hub"], *([str(at), hub] for at, hub in enumerate(HUBS, 1))]
    assert rows(windows.octets)[1][:4] == [
        "1",
        "2027-07-14T19:30:00Z",
        "2027-07-14T20:30:00Z",
        "2027-07-14T20:30:00+01:00",
    ]
    assert "200 hubs: see default-pilot-list.csv" in whole(told)
    assert HUBS[0] not in whole(told)


def test_a_confirmed_plan_says_whose_list_it_is() -> None:
    body = PilotPlanConfirmed(
        campaign_id="C",
        pilot_list=HUBS[:1],
        schedule=WINDOWS[:1],
        list_source=Source.PREFERRED,
        schedule_source=Source.DEFAULT,
    )
    assert "List: as you preferred. Schedule: the default." in whole(letter(body, LONDON))


def test_a_refusal_says_what_the_code_means_and_what_to_do() -> None:
    name = RequestID(originator=HUBS[0], target=HUBS[1], counter=7)
    body = ServiceRequestRejected(
        request_id=name, srv="11.6", response_code=ResponseCode.E110602, reason="late\r\nBcc: everybody"
    )
    told = whole(letter(body, LONDON))
    assert "late Bcc: everybody" in told
    assert str(name) in told
    assert "under a new RequestID" in told


def test_a_digest_counts_and_lists_reasons_and_defuses_formulas() -> None:
    told = [
        Told(CommsHubFirmwareActivation(device_id=hub, firmware_version="02.00"), AT, f"a:b:{at}")
        for at, hub in enumerate(HUBS[:30])
    ]
    failed = CommsHubFirmwareActivationFailed(
        campaign_id="C", device_id=HUBS[40], firmware_version="02.00", failure_reason='=HYPERLINK("evil")'
    )
    told.append(Told(failed, AT + timedelta(minutes=5), "a:b:99"))
    made = digest(told, LONDON)
    assert made.subject == "Firmware activations: 30 hubs activated, 1 hub failed"
    assert "30 hubs, version 02.00" in whole(made)
    assert f'{HUBS[40]}, version 02.00, campaign C: =HYPERLINK("evil")' in whole(made)
    (table,) = made.sheets
    assert len(rows(table.octets)) == 32
    assert rows(table.octets)[-1] == [
        HUBS[40], "Failure", "02.00", "C", '\'=HYPERLINK("evil")', "2027-07-14T17:35:00Z", "a:b:99"
    ]  # fmt: skip


@pytest.mark.parametrize("text", ["=1", "+1", "-1", "@x", "\tx"])
def test_what_a_spreadsheet_would_run_is_led_by_an_apostrophe(text: str) -> None:
    assert rows(sheet("x.csv", ("a",), [(text,)]).octets)[1][0].startswith("'")


def sizes(types: str, ended_at: int | None = None, **bounds) -> list[int]:
    codes = {"a": "N64", "f": "N908", "s": "N906"}
    messages = [message(number, type=codes[each], octets=b"x" * 10) for number, each in enumerate(types, 1)]
    made = list(bundles(messages, Bounds(**bounds), ended_at))
    assert [each for bundle in made for each in bundle] == messages, "nothing lost, nothing in another order"
    return list(map(len, made))


def test_activations_in_a_row_are_one_bundle_and_others_travel_alone() -> None:
    assert sizes("aafasssaf") == [4, 1, 1, 1, 2]
    assert sizes("") == []


def test_bundles_are_bounded_in_number_and_octets() -> None:
    assert sizes("aaaaa", messages=2) == [2, 2, 1]
    assert sizes("aaaaa", octets=35) == [3, 2]
    assert sizes("aa", octets=5) == [1, 1], "what is too large alone travels alone"


def test_a_bundle_that_may_have_arrived_ends_where_it_ended() -> None:
    assert sizes("aaaaa", ended_at=3) == [3, 2]


@pytest.mark.parametrize("text", ["ops@alpha.example", "o'brien+dcc@Alpha.CO.UK", "a.b@x-y.example"])
def test_addresses(text: str) -> None:
    local, _, domain = text.partition("@")
    assert parse_address(text) == f"{local}@{domain.lower()}"


@pytest.mark.parametrize(
    "text",
    [
        "", "ops", "ops@alpha", "@alpha.example", "ops@", "a b@alpha.example", "ops@alpha.example\r\nBcc: x@y.example",
        "Ops <ops@alpha.example>", ".ops@alpha.example", "ops@-alpha.example", "öps@alpha.example",
        f"{'o' * 65}@alpha.example", f"ops@{'a.' * 130}example", "ops@alpha.example,b@beta.example",
    ],
)  # fmt: skip
def test_what_is_no_address_is_refused_without_being_repeated(text: str) -> None:
    with pytest.raises(ValueError, match=r"^not an e-mail address such as operations@supplier\.example$"):
        parse_address(text)


def test_a_contact_by_email_needs_an_address() -> None:
    with pytest.raises(ValueError, match="there is no email"):
        Contact(Channels.BOTH)
