"""The supplier adapter: chooses from its CSV, answers by itself, and goes on where it was."""

import asyncio
import sys
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from examples.rehearsal import rehearsal
from examples.supplier_adapter.adapter import adapt
from examples.supplier_adapter.preferences import Preference, choose, read_preferences

from chfw_sr.client import Client, Journal
from chfw_sr.messages import (
    EUI,
    AlertCode,
    CampaignID,
    PilotPlanPublished,
    ResponseCode,
    UpdatePilotPreferences,
    Window,
    parse_eui,
)
from chfw_sr.messages.requests import ServiceRequest
from chfw_sr.service.ports import MessageKind
from chfw_sr.wire import Intake, Limits, Schemas, TrustStore
from chfw_sr.wire.pki import certificate_pem, key_pem
from tests.client.parts import DCC, DCC_CERTIFICATE, NOW, SUPPLIER, party, response_octets
from tests.contract.buses import RabbitUnderTest

ROOT = Path(__file__).resolve().parents[2]
HUBS = [parse_eui(f"00-DB-12-34-56-78-90-A{number}") for number in range(5)]
PREFERENCES = [Preference(eui, "Acme", "Hub-1") for eui in HUBS]


def plan(*limits: int | None, model: str = "Hub-1") -> PilotPlanPublished:
    return PilotPlanPublished(
        campaign_id=CampaignID("C-1"),
        firmware_version="02.00",
        manufacturer="Acme",
        model=model,
        response_deadline=datetime(2027, 1, 9, tzinfo=UTC),
        default_list=(EUI("00-DB-12-34-56-78-90-FF"),),
        default_schedule=tuple(
            Window(window_id=number, start=NOW, end=NOW + timedelta(days=1), max_devices=limit)
            for number, limit in enumerate(limits, start=1)
        ),
    )


def test_as_many_are_chosen_as_the_schedule_holds_in_the_order_of_the_file():
    assert choose(plan(2, 1), PREFERENCES) == tuple(HUBS[:3])
    assert choose(plan(2, None), PREFERENCES) == tuple(HUBS)
    assert choose(plan(9), [PREFERENCES[1], *PREFERENCES]) == (HUBS[1], HUBS[0], *HUBS[2:])


def test_only_hubs_of_the_right_make_are_chosen():
    assert choose(plan(9, model="Hub-2"), PREFERENCES) == ()


@pytest.mark.parametrize(
    ("text", "words"),
    [("device_id,model\n", "lacks manufacturer"), ("device_id,manufacturer,model\nA1,Acme,Hub-1\n", "line 2: .*EUI")],
)
def test_a_file_that_is_wrong_is_told_with_its_line(tmp_path, text, words):
    (tmp_path / "preferred.csv").write_text(text)
    with pytest.raises(ValueError, match=words):
        read_preferences(tmp_path / "preferred.csv")


async def test_an_adapter_that_died_answers_when_it_is_back(tmp_path):
    async with rehearsal(HUBS) as stage:
        await stage.publish(HUBS[:1])
        arguments = stage.service.for_user(stage.supplier)

        def die():
            raise ZeroDivisionError

        async def first(preferences):
            with Journal(tmp_path / "journal") as journal:
                async with (
                    Client(**arguments, journal=journal) as client,
                    aclosing(adapt(client, preferences)) as events,
                ):
                    return await anext(events)

        with pytest.raises(ZeroDivisionError):
            await first(die)
        event = await first(lambda: PREFERENCES)
    assert event.alert.code is AlertCode.N901
    assert "nominated 3 hubs" in event.text
    assert "I99" in event.text


async def test_hubs_that_are_refused_are_told_and_nothing_is_sent_where_none_fits():
    stranger = Preference(parse_eui("00-DB-12-34-56-78-90-EE"), "Acme", "Hub-1")
    async with rehearsal(HUBS) as stage:
        with Journal(":memory:") as journal:
            async with Client(**stage.service.for_user(stage.supplier), journal=journal) as client:
                await stage.publish(HUBS[:1])
                lists = iter([[stranger, *PREFERENCES]])
                async with aclosing(adapt(client, lambda: next(lists))) as events:
                    texts = [(await anext(events)).text for _ in range(3)]
                assert "W110601" in texts[0]
                assert texts[1:] == ["REHEARSAL-1: N906", "REHEARSAL-1: 2 hubs were accepted, refused were 1 invalid"]
        with Journal(":memory:") as journal:
            async with Client(**stage.service.for_user(stage.supplier), journal=journal) as client:
                await stage.confirm()
                async with aclosing(adapt(client, list)) as events:
                    assert "confirmed are 2 hubs" in [(await anext(events)).text for _ in range(2)][-1]


async def run_example(*arguments: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        *arguments,
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


async def test_it_rehearses_without_a_server():
    process = await run_example("examples.supplier_adapter", "--rehearse")
    output, errors = await process.communicate()
    assert (process.returncode, errors) == (0, b"")
    assert [line[:4] for line in output.decode().splitlines()] == ["N901", "N906", "N902", "N905"]


async def test_it_says_which_options_are_missing():
    process = await run_example("examples.supplier_adapter", "--user", SUPPLIER)
    _, errors = await process.communicate()
    assert process.returncode == 2
    assert b"missing: --amqp, --dcc-certificate, --journal, --key" in errors
    assert b"--rehearse" in errors


@pytest.fixture
def keys(tmp_path):
    """The files that an adapter's options name."""
    certificate, signer = party(SUPPLIER)
    (tmp_path / "key.pem").write_bytes(key_pem(signer.key))
    (tmp_path / "key.pem").chmod(0o600)
    (tmp_path / "user.pem").write_bytes(certificate_pem(certificate))
    (tmp_path / "dcc.pem").write_bytes(certificate_pem(DCC_CERTIFICATE))
    return certificate, [
        *("--user", SUPPLIER, "--dcc", DCC, "--journal", str(tmp_path / "journal")),
        *("--key", str(tmp_path / "key.pem"), "--certificate", str(tmp_path / "user.pem")),
        *("--dcc-certificate", str(tmp_path / "dcc.pem")),
    ]


async def test_rabbitmq_it_answers_by_itself(desk, keys):
    if not isinstance(desk.bus, RabbitUnderTest):
        pytest.skip("RabbitMQ's own")
    certificate, options = keys
    await desk.alert(plan(2), 1)
    consumer = await desk.bus.consumer()
    process = await run_example("examples.supplier_adapter", "--amqp", desk.bus.server.url.geturl(), *options)
    try:
        (delivery,) = await consumer.receive(1, 0)
        await consumer.acknowledge([delivery])
        taken = Intake(Schemas.load(), Limits())(delivery.octets, TrustStore.of(certificate), datetime.now(UTC))
        assert isinstance(taken.outcome, ServiceRequest)
        assert taken.outcome.body == UpdatePilotPreferences(
            campaign_id=CampaignID("C-1"),
            preferred_list=tuple(parse_eui(f"00-DB-12-34-56-78-90-A{number}") for number in (1, 2)),
        )
        await desk.put(response_octets(taken.request_id, ResponseCode.I99), MessageKind.RESPONSE)
        line = await process.stdout.readline()
        assert line.startswith(b"N901  C-1: nominated 2 hubs")
    finally:
        process.terminate()
        _, errors = await process.communicate()
    assert errors == b""
