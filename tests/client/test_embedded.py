"""An adapter's test as its author would write it: the whole processor in this process, no server."""

import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest

from chfw_sr.campaign.model import Hub
from chfw_sr.client import Client, Journal, load_trust, trust_in
from chfw_sr.client.testing import EmbeddedService
from chfw_sr.messages import (
    EUI,
    AlertCode,
    CampaignID,
    CreateFirmwareCampaign,
    HubStatus,
    Period,
    PilotPlanConfirmed,
    PublishPilotPlan,
    ReadPilotPlan,
    Region,
    ResponseCode,
    Role,
    Source,
    UpdatePilotPreferences,
    Window,
    parse_eui,
)
from chfw_sr.service.replay import ManualClock
from chfw_sr.wire.pki import certificate_pem

from .parts import DCC, DCC_CERTIFICATE, SUPPLIER_CERTIFICATE, party

START = datetime(2027, 1, 4, 9, tzinfo=UTC)
DAY = timedelta(days=1)
OPERATOR, ALPHA = parse_eui("90-B3-D5-1F-30-00-00-10"), parse_eui("90-B3-D5-1F-30-01-00-00")
CAMPAIGN = CampaignID("CH-1")
HUBS = [
    Hub(
        EUI(f"00-DB-12-34-56-78-90-A{number}"),
        "Acme",
        "Hub-1",
        "01.00",
        Region.NORTH,
        HubStatus.COMMISSIONED,
        import_supplier=ALPHA,
    )
    for number in range(4)
]


async def test_a_supplier_and_an_operator_talk_to_the_whole_processor():
    async with EmbeddedService(clock=ManualClock(START)) as service:
        operator = await service.register("Operator", OPERATOR, {Role.DCC})
        alpha = await service.register("Alpha Energy", ALPHA, {Role.IS})
        await service.stock(HUBS)
        with Journal(":memory:") as its, Journal(":memory:") as ours:
            async with (
                Client(**service.for_user(operator), journal=its, clock=service.clock.now) as dcc,
                Client(**service.for_user(alpha), journal=ours, clock=service.clock.now) as supplier,
                dcc.alerts(),
                supplier.alerts() as alerts,
            ):
                period = Period(start=START, end=START + 60 * DAY)
                created = await dcc.send(
                    CreateFirmwareCampaign(
                        campaign_id=CAMPAIGN,
                        manufacturer="Acme",
                        model="Hub-1",
                        firmware_version="02.00",
                        pilot_period=period,
                    )
                )
                assert (await created.response()).code is ResponseCode.I99
                assert (await created.outcome()).code is AlertCode.N911
                await dcc.send(
                    PublishPilotPlan(
                        campaign_id=CAMPAIGN,
                        response_deadline=START + 5 * DAY,
                        default_schedule=(Window(window_id=1, start=START + 10 * DAY, end=START + 11 * DAY),),
                        default_list=(HUBS[0].eui,),
                    )
                )
                codes = {(await anext(alerts)).code for _ in range(2)}
                assert codes == {AlertCode.N901, AlertCode.N906}
                sent = await supplier.send(
                    UpdatePilotPreferences(campaign_id=CAMPAIGN, preferred_list=(HUBS[2].eui, HUBS[3].eui))
                )
                assert (await sent.outcome()).code is AlertCode.N902
                plan = await (await supplier.send(ReadPilotPlan(campaign_id=CAMPAIGN))).response()
                assert plan.payload.preferred_list == (HUBS[2].eui, HUBS[3].eui)
                await service.advance(START + 6 * DAY)
                async for alert in alerts:
                    if isinstance(alert.body, PilotPlanConfirmed):
                        assert alert.body.list_source is Source.PREFERRED
                        break


async def test_without_a_clock_of_its_own_the_machines_clock_rules():
    async with EmbeddedService() as service:
        with pytest.raises(ValueError, match="machine's clock"):
            await service.advance(START)


def test_trust_is_read_from_files_and_folders(tmp_path):
    renewed, _ = party(DCC)
    (tmp_path / "both.pem").write_bytes(certificate_pem(DCC_CERTIFICATE) + certificate_pem(renewed))
    for path in (tmp_path, tmp_path / "both.pem"):
        trust = load_trust(DCC, [path])
        for certificate in (DCC_CERTIFICATE, renewed):
            assert trust.find(certificate.issuer.rfc4514_string(), certificate.serial_number)
    (tmp_path / "bad.pem").write_text("nothing")
    with pytest.raises(ValueError, match=r"bad\.pem"):
        load_trust(DCC, [tmp_path])
    with pytest.raises(ValueError, match="no certificate"):
        load_trust(DCC, [])
    with pytest.raises(ValueError, match="the DCC is"):
        trust_in(DCC, [SUPPLIER_CERTIFICATE])


def test_importing_the_client_brings_no_server_database_or_amqp_code():
    script = (
        "import sys, chfw_sr.client; "
        "names = {'.'.join(name.split('.')[:depth]) for name in sys.modules for depth in (1, 2)}; "
        "print(sorted(names & {'sqlalchemy', 'alembic', 'asyncpg', 'aio_pika', 'typer', 'prometheus_client', "
        "'pydantic_settings', 'chfw_sr.service', 'chfw_sr.storage', 'chfw_sr.bootstrap', 'chfw_sr.campaign'}))"
    )
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
