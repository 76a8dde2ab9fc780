"""A whole pilot in this process: an operator, a CSP and a Supplier's hubs, on the embedded service."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from chfw_sr.campaign.model import Hub
from chfw_sr.client import Client, Journal
from chfw_sr.client.testing import EmbeddedService, Party
from chfw_sr.messages import (
    EUI,
    Activation,
    ActivationResult,
    Body,
    CampaignID,
    CreateFirmwareCampaign,
    HubStatus,
    Period,
    PublishPilotPlan,
    Region,
    ReportFirmwareActivation,
    Role,
    Window,
    parse_eui,
)
from chfw_sr.service.replay import ManualClock

START = datetime(2027, 1, 4, 9, tzinfo=UTC)
DEADLINE = START + timedelta(days=5)
PILOT = START + timedelta(days=10)
SUPPLIER = parse_eui("90-B3-D5-1F-30-01-00-00")
OPERATOR = parse_eui("90-B3-D5-1F-30-00-00-10")
NETWORK = parse_eui("90-B3-D5-1F-30-06-00-00")
CAMPAIGN = CampaignID("REHEARSAL-1")
MANUFACTURER, MODEL, VERSION = "Acme", "Hub-1", "02.00"


@dataclass(frozen=True)
class Stage:
    """Where the Supplier's program rehearses.

    Attributes:
        service: the embedded service.
        supplier: who the program is.
        operator: sends as the DCC's operator.
        network: sends as the CSP.
    """

    service: EmbeddedService
    supplier: Party
    operator: Client
    network: Client

    async def publish(self, default_list: Sequence[EUI]) -> None:
        """Create a campaign and publish its pilot plan: the Supplier hears N901 and N906."""
        await _done(
            self.operator,
            CreateFirmwareCampaign(
                campaign_id=CAMPAIGN,
                manufacturer=MANUFACTURER,
                model=MODEL,
                firmware_version=VERSION,
                pilot_period=Period(start=START, end=START + timedelta(days=60)),
            ),
        )
        await _done(
            self.operator,
            PublishPilotPlan(
                campaign_id=CAMPAIGN,
                response_deadline=DEADLINE,
                default_schedule=(Window(window_id=1, start=PILOT, end=PILOT + timedelta(days=1), max_devices=3),),
                default_list=tuple(default_list),
            ),
        )

    async def confirm(self) -> None:
        """Let the deadline pass: the Supplier hears N905."""
        await self.service.advance(DEADLINE + timedelta(minutes=1))

    async def report(self, succeeded: Sequence[EUI], failed: Sequence[EUI]) -> None:
        """Let the windows begin, and the CSP report: the Supplier hears N64 and N908."""
        now = PILOT + timedelta(hours=2)
        await self.service.advance(now)
        results = [(hub, ActivationResult.SUCCESS, None) for hub in succeeded]
        reasons = [(hub, ActivationResult.FAILURE, "image refused") for hub in failed]
        await _done(
            self.network,
            ReportFirmwareActivation(
                activations=tuple(
                    Activation(device_id=hub, firmware_version=VERSION, at=now, result=result, failure_reason=reason)
                    for hub, result, reason in (*results, *reasons)
                )
            ),
        )


async def _done(client: Client, body: Body) -> None:
    response = await (await client.send(body)).response()
    if response.code.is_error:
        raise RuntimeError(f"the rehearsal's own {body.srv} was refused: {response.code} {response.payload}")


@asynccontextmanager
async def rehearsal(hubs: Sequence[EUI]) -> AsyncIterator[Stage]:
    """Set the stage: these hubs are the Supplier's, commissioned, and run an older version."""
    async with EmbeddedService(clock=ManualClock(START)) as service:
        operator = await service.register("Operator", OPERATOR, {Role.DCC})
        network = await service.register("Network", NETWORK, {Role.CSP}, {Region.NORTH})
        supplier = await service.register("Supplier", SUPPLIER, {Role.IS})
        await service.stock(
            [
                Hub(
                    eui,
                    MANUFACTURER,
                    MODEL,
                    "01.00",
                    Region.NORTH,
                    HubStatus.COMMISSIONED,
                    import_supplier=SUPPLIER,
                )
                for eui in hubs
            ]
        )
        with Journal(":memory:") as one, Journal(":memory:") as other:
            async with (
                Client(**service.for_user(operator), journal=one) as dcc,
                Client(**service.for_user(network), journal=other) as csp,
            ):
                yield Stage(service, supplier, dcc, csp)
