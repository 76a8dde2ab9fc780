"""Who may do what: every kind of User, every Service Request, every campaign; octets in, outbox out.

What is expected is written here once more, from the wire contract (§3, §6), and not taken from the product's tables.
"""

import re
from collections.abc import Sequence

import pytest

from chfw_sr.messages import (
    EUI,
    Activation,
    ActivationResult,
    Body,
    ReadCampaignStatus,
    ReadPilotPlan,
    ReportFirmwareActivation,
    Role,
    UpdatePilotPreferences,
    UserStatus,
)
from chfw_sr.service.outcome import Ending
from chfw_sr.service.ports import MessageKind, OutboxMessage
from chfw_sr.wire import read_response
from tests.service.world import DCC, OPERATOR, START

from .estate import (
    ELSEWHERE,
    FOREIGN,
    KINDS,
    NEW,
    OWN,
    RIVAL,
    RIVAL_NETWORK,
    SCHEDULE,
    SOUTH,
    UNKNOWN,
    Estate,
    Kind,
    bodies,
    but_for_ids_and_times,
)

SUPPLIERS = {Role.IS, Role.GS}
MAY_SEND = {
    "11.5": SUPPLIERS,
    "11.6": SUPPLIERS,
    "11.7": SUPPLIERS,
    "11.8": SUPPLIERS,
    "11.9": SUPPLIERS | {Role.ED, Role.GT, Role.DCC},
    "11.20": {Role.DCC},
    "11.21": {Role.DCC},
    "11.22": {Role.DCC},
    "11.23": {Role.DCC},
    "11.30": {Role.CSP},
}
SERVED = {"11.5": "I0", "11.6": "I99", "11.7": "I99", "11.8": "E110802", "11.9": "I0", "11.30": "I99"}
"""What a User gets who may send it, about a campaign of its own in consultation."""

AN_EUI = re.compile(rb"(?:[0-9A-F]{2}-){7}[0-9A-F]{2}")


def depends_on_tables(kind: Kind) -> bool:
    """Tell whether the answers depend on what lies in the tables; else the memory store alone will do."""
    return kind.party is not None and kind.status is UserStatus.ACTIVE and bool(kind.roles)


@pytest.fixture(params=["memory", "sqlite"])
def store_url(request, tmp_path):
    if request.param == "memory":
        return None
    file = tmp_path / "estate.sqlite3"
    file.write_bytes(request.getfixturevalue("migrated_file").read_bytes())
    return f"sqlite+aiosqlite:///{file}"


@pytest.fixture
async def estate(kind, store) -> Estate:
    return await Estate(kind, store).populate()


@pytest.fixture
async def suppliers_estate(store) -> Estate:
    return await Estate(kind_named("IS"), store).populate()


def kind_named(name: str) -> Kind:
    return next(kind for kind in KINDS if kind.name == name)


def expected(kind: Kind, body: Body, campaign: str) -> str:
    if not kind.roles:
        return "E1"
    if kind.status is not UserStatus.ACTIVE:
        return "E3"
    if not kind.roles & MAY_SEND[body.srv]:
        return "E2"
    if campaign == OWN or body.srv == "11.30":
        return SERVED[body.srv]
    return f"E11{int(body.srv.partition('.')[2]):02}01"


async def rivals_view(estate: Estate) -> list[object]:
    """Give all that the rival can read of its own."""
    view: list[object] = []
    for campaign in (OWN, FOREIGN, ELSEWHERE):
        for body in (ReadPilotPlan(campaign_id=campaign), ReadCampaignStatus(campaign_id=campaign)):
            _, messages = await estate.ask(RIVAL, body)
            view += [but_for_ids_and_times(message) for message in messages]
    return view


def told(messages: Sequence[OutboxMessage]) -> set[bytes]:
    """Give every EUI that messages hold, anywhere."""
    return {eui for message in messages for eui in AN_EUI.findall(message.octets + repr(message).encode())}


MATRIX = [
    (kind, store) for store in ("memory", "sqlite") for kind in KINDS if store == "memory" or depends_on_tables(kind)
]


@pytest.mark.parametrize(
    ("kind", "store_url"), MATRIX, indirect=["store_url"], ids=lambda each: getattr(each, "name", each)
)
async def test_the_whole_matrix(estate) -> None:
    kind, me = estate.kind, estate.eui
    own = {DCC, me, *estate.its_hubs(me)}
    before = await rivals_view(estate)
    seen: dict[tuple[str, str], list[object]] = {}
    for campaign in (UNKNOWN, FOREIGN, ELSEWHERE, OWN):
        for body in bodies(estate, campaign):
            outcome, messages = await estate.ask(me, body)
            assert outcome.code == expected(kind, body, campaign), (campaign, body.srv)
            served_report = body.srv == "11.30" and outcome.ending is Ending.DONE
            if not served_report:
                assert {message.recipient for message in messages} == {me}, (campaign, body.srv)
            kinds = [message.kind for message in messages if message.recipient == me]
            read = body.srv in {"11.5", "11.8", "11.9"} and not outcome.code.is_error
            assert kinds == ([MessageKind.RESPONSE] if read else [MessageKind.RESPONSE, MessageKind.ALERT])
            sent = {eui.decode() for eui in AN_EUI.findall(repr(body).encode())}
            mine = [message for message in messages if message.recipient == me]
            assert {eui.decode() for eui in told(mine)} <= own | sent, (campaign, body.srv)
            seen[campaign, body.srv] = [but_for_ids_and_times(message, campaign) for message in mine]
    for srv in MAY_SEND:
        if srv != "11.30":
            assert seen[FOREIGN, srv] == seen[UNKNOWN, srv] == seen[ELSEWHERE, srv], f"{srv} tells what there is"
    assert await rivals_view(estate) == before or Role.CSP in kind.roles


async def test_what_a_report_causes_goes_to_whom_the_hub_concerns(store) -> None:
    estate = await Estate(kind_named("CSP"), store).populate()
    hub = estate.hubs["rival's 0 of C-OWN"]
    success = Activation(device_id=hub.eui, firmware_version=NEW, at=START, result=ActivationResult.SUCCESS)
    _, messages = await estate.ask(estate.eui, ReportFirmwareActivation(activations=(success,)))
    assert sorted((each.recipient, each.type) for each in messages if each.kind is MessageKind.ALERT) == sorted(
        [(RIVAL, "N64"), (estate.eui, "N911")]
    )


# --------------------------------------------------------------------------------------------------------- hub by hub


HUBS = {
    "own": "",
    "own, pending": "NotCommissionedDeviceIDList",
    "own, running": "NotApplicableFirmwareDeviceIDList",
    "own, other model": "NotApplicableFirmwareDeviceIDList",
    "own, elsewhere": "NotApplicableFirmwareDeviceIDList",
    "rival's 0 of C-OWN": "InvalidDeviceIDList",
    "rival's 0 of C-FAR": "InvalidDeviceIDList",
    "unknown": "InvalidDeviceIDList",
}


@pytest.mark.parametrize("name", HUBS)
async def test_a_hub_is_told_apart_only_to_whom_it_belongs(suppliers_estate, name) -> None:
    estate = suppliers_estate
    hub = estate.hubs[name].eui if name in estate.hubs else EUI("00-DB-12-34-56-78-EE-EE")
    too = estate.hubs["own too"].eui
    before = await rivals_view(estate)
    _, messages = await estate.ask(
        estate.eui, UpdatePilotPreferences(campaign_id=OWN, preferred_list=(too, hub), preferred_schedule=SCHEDULE)
    )
    for message in messages:
        assert message.recipient == estate.eui
        lists = re.findall(rb"<sr:(\w+List)>([^<]*)</sr:\1>", message.octets)
        assert lists == ([(HUBS[name].encode(), hub.encode())] if HUBS[name] else [])
    assert await rivals_view(estate) == before


async def test_a_strangers_hub_is_refused_in_the_same_octets_as_one_that_is_not_there(store) -> None:
    """For lists with an acceptable hub and without, and for reports of another region's CSP."""
    estate = await Estate(kind_named("IS"), store).populate()
    unknown, stranger = EUI("00-DB-12-34-56-78-EE-EE"), estate.hubs["rival's 1 of C-OWN"].eui
    too = estate.hubs["own too"].eui
    seen = []
    for hub in (unknown, stranger):
        part: list[object] = []
        activation = Activation(device_id=hub, firmware_version=NEW, at=START, result=ActivationResult.SUCCESS)
        for sender, body in (
            (estate.eui, UpdatePilotPreferences(campaign_id=OWN, preferred_list=(too, hub))),
            (estate.eui, UpdatePilotPreferences(campaign_id=OWN, preferred_list=(hub,))),
            (SOUTH, ReportFirmwareActivation(activations=(activation,))),
        ):
            _, messages = await estate.ask(sender, body)
            assert {message.recipient for message in messages} == {sender}
            part += [but_for_ids_and_times(message, hub) for message in messages]
        seen.append(part)
    assert seen[0] == seen[1]


async def test_counts_are_ones_own_and_the_operators_are_all(suppliers_estate) -> None:
    estate = suppliers_estate
    estate.clock.set(SCHEDULE[0].start)
    await estate.clockwork.tick()
    devices = {}
    for user in (estate.eui, RIVAL, RIVAL_NETWORK, OPERATOR):
        outcome, messages = await estate.ask(user, ReadCampaignStatus(campaign_id=OWN))
        assert outcome.code == "I0"
        (response,) = [each for each in messages if each.kind is MessageKind.RESPONSE]
        devices[user] = read_response(response.octets).payload.pilot.devices
    assert devices == {estate.eui: 2, RIVAL: 5, RIVAL_NETWORK: 7, OPERATOR: 7}
