"""A DCC by hand: signs whatever a test wants to have said, and puts it on a bus of either kind."""

import itertools
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from chfw_sr.client import Client, Journal, Transport, trust_in
from chfw_sr.client.rabbitmq import RabbitTransport
from chfw_sr.client.testing import InProcessTransport
from chfw_sr.messages import (
    EUI,
    Alert,
    AnyAlertBody,
    CommsHubFirmwareActivation,
    RequestID,
    ResponseCode,
    ResponseID,
    ServiceResponse,
    parse_eui,
)
from chfw_sr.service.ports import MessageKind, OutboxMessage
from chfw_sr.wire import Signer, write_alert, write_response
from chfw_sr.wire.pki import issue, make_authority
from tests.contract.buses import BusUnderTest, InProcessUnderTest, RabbitUnderTest

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
DCC = parse_eui("90-B3-D5-1F-30-00-00-02")
SUPPLIER = parse_eui("90-B3-D5-1F-30-01-00-00")
OTHER = parse_eui("90-B3-D5-1F-30-02-00-00")
HUB = parse_eui("00-DB-12-34-56-78-90-A0")
DAY = timedelta(days=1)

_AUTHORITY = make_authority("Test Authority")


def party(eui: EUI, begin: datetime = NOW - DAY, end: datetime = NOW + 365 * DAY):
    """Give a certificate and its signer."""
    certificate, key = issue(_AUTHORITY, eui, "Party", begin, end)
    return certificate, Signer.of(key, certificate)


DCC_CERTIFICATE, DCC_SIGNER = party(DCC)
SUPPLIER_CERTIFICATE, SUPPLIER_SIGNER = party(SUPPLIER)
TRUST = trust_in(DCC, [DCC_CERTIFICATE])


def activation(number: int) -> CommsHubFirmwareActivation:
    """An N64 of a hub with this number."""
    return CommsHubFirmwareActivation(device_id=EUI(f"00-DB-12-34-56-78-90-{number:02X}"), firmware_version="02.00")


def alert_octets(
    body: AnyAlertBody, counter: int, recipient: EUI = SUPPLIER, signer: Signer = DCC_SIGNER, dcc: EUI = DCC
) -> bytes:
    """Write and sign an alert."""
    name = ResponseID(originator=dcc, target=recipient, counter=counter)
    return write_alert(Alert(recipient=recipient, body=body), name, NOW, signer)


def response_octets(request_id: RequestID, code: ResponseCode = ResponseCode.I99, signer: Signer = DCC_SIGNER) -> bytes:
    """Write and sign a Service Response."""
    return write_response(ServiceResponse(request_id=request_id, code=code, at=NOW), signer)


def transport_of(bus: BusUnderTest, user: EUI = SUPPLIER, **options) -> Transport:
    """Give a User's way to a bus."""
    if isinstance(bus, InProcessUnderTest):
        return InProcessTransport(bus._bus, user)
    assert isinstance(bus, RabbitUnderTest)
    return RabbitTransport(bus.server, user, **options)


class Desk:
    """Puts messages into the queues of a User, and makes clients of it."""

    def __init__(self, bus: BusUnderTest) -> None:
        self.bus = bus
        self._numbers = itertools.count(1)

    async def put(self, octets: bytes, kind: MessageKind = MessageKind.ALERT, recipient: EUI = SUPPLIER) -> None:
        """Put a document into the User's queue of alerts, or of responses."""
        number = next(self._numbers)
        message = OutboxMessage(number, kind, recipient, f"m{number}", "N64", octets, NOW)
        await (await self.bus.publisher()).publish([message])

    async def alert(self, body: AnyAlertBody, counter: int) -> bytes:
        """Sign an alert and put it into the User's queue; give its octets."""
        octets = alert_octets(body, counter)
        await self.put(octets)
        return octets

    async def alerts(self, numbers: Sequence[int]) -> None:
        """Put N64s of these numbers into the User's queue, counted by the same numbers."""
        for number in numbers:
            await self.alert(activation(number), number)

    def client(self, journal: Journal, **changes) -> Client:
        """Make a client of the User."""
        options = {
            "user": SUPPLIER,
            "dcc": DCC,
            "signer": SUPPLIER_SIGNER,
            "trust": TRUST,
            "transport": transport_of(self.bus),
            "journal": journal,
            "clock": lambda: NOW,
        }
        return Client(**(options | changes))
