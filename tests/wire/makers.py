"""A small public-key infrastructure, and documents written by hand, for the tests of the wire."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest

from chfw_sr.messages import (
    EUI,
    Alert,
    AnyAlertBody,
    CommsHubFirmwareActivation,
    Rejected,
    RequestID,
    ResponseCode,
    ResponseID,
    ServiceResponse,
    parse_eui,
)
from chfw_sr.wire import (
    Intake,
    Limits,
    Parsed,
    Schemas,
    Signer,
    TrustStore,
    parse,
    pki,
    verify,
    write_alert,
    write_response,
)

SR = "http://www.dccinterface.co.uk/ServiceUserGateway"
DS = "http://www.w3.org/2000/09/xmldsig#"
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
DCC = parse_eui("90-B3-D5-1F-30-00-00-02")
SUPPLIER = parse_eui("90-B3-D5-1F-30-01-00-00")
HUB = parse_eui("00-DB-12-34-56-78-90-A0")
REQUEST_ID = RequestID(originator=SUPPLIER, target=DCC, counter=17)

AUTHORITY = pki.make_authority("Z1")


@dataclass(frozen=True)
class Party:
    """Someone with a certificate."""

    eui: EUI
    certificate: object
    signer: Signer


def party(eui: EUI, authority: pki.Authority = AUTHORITY, **dates: datetime) -> Party:
    certificate, key = pki.issue(
        authority,
        eui,
        "Test party",
        dates.get("not_before", NOW - timedelta(days=30)),
        dates.get("not_after", NOW + timedelta(days=365)),
    )
    return Party(eui, certificate, Signer.of(key, certificate))


ALICE = party(SUPPLIER)
ACCESS_CONTROL_BROKER = party(DCC)
TRUST = TrustStore.of(ALICE.certificate, ACCESS_CONTROL_BROKER.certificate)
SCHEMAS = Schemas.load()
INTAKE = Intake(SCHEMAS, Limits())


def take(octets: bytes, trust: TrustStore = TRUST, now: datetime = NOW):
    return INTAKE(octets, trust, now)


def parsed(octets: bytes | str) -> Parsed:
    return parse(octets.encode() if isinstance(octets, str) else octets, Limits())


def request(
    body: str = "<sr:ReadPilotPlan><sr:CampaignID>C1</sr:CampaignID></sr:ReadPilotPlan>",
    srv: str = "11.5",
    *,
    reference: str | None = None,
    request_id: str = str(REQUEST_ID),
    header: str = "<sr:CommandVariant>8</sr:CommandVariant>",
    version: str = "5.4",
    attributes: str = "",
) -> bytes:
    """A Service Request in text, unsigned."""
    return (
        f'<sr:Request xmlns:sr="{SR}" schemaVersion="{version}"{attributes}><sr:Header>'
        f"<sr:RequestID>{request_id}</sr:RequestID>{header}"
        f"<sr:ServiceReference>{srv if reference is None else reference}</sr:ServiceReference>"
        f"<sr:ServiceReferenceVariant>{srv}</sr:ServiceReferenceVariant></sr:Header>"
        f"<sr:Body>{body}</sr:Body></sr:Request>"
    ).encode()


def signed(octets: bytes | None = None, signer: Signer = ALICE.signer) -> bytes:
    return signer.sign(request() if octets is None else octets)


def window(number: object = 1, rest: str = "") -> str:
    return (
        f"<sr:Window><sr:WindowID>{number}</sr:WindowID><sr:StartDateTime>2026-04-01T00:00:00Z</sr:StartDateTime>"
        f"<sr:EndDateTime>2026-04-02T00:00:00Z</sr:EndDateTime>{rest}</sr:Window>"
    )


def preferences(devices: str | None = HUB, windows: str | None = None) -> bytes:
    parts = "<sr:CampaignID>C1</sr:CampaignID>"
    if devices is not None:
        parts += f"<sr:PreferredPilotList>{devices}</sr:PreferredPilotList>"
    if windows is not None:
        parts += f"<sr:PreferredPilotSchedule>{windows}</sr:PreferredPilotSchedule>"
    return request(f"<sr:UpdatePilotPreferences>{parts}</sr:UpdatePilotPreferences>", "11.6")


def activation(
    device: str = HUB, version: str = "1.2.3", at: str = "2026-02-01T00:00:00Z", result: str = "Success", rest: str = ""
) -> str:
    return (
        f"<sr:Activation><sr:DeviceID>{device}</sr:DeviceID><sr:FirmwareVersion>{version}</sr:FirmwareVersion>"
        f"<sr:ActivationDateTime>{at}</sr:ActivationDateTime><sr:Result>{result}</sr:Result>{rest}</sr:Activation>"
    )


def report(*activations: str) -> bytes:
    return request(f"<sr:ReportFirmwareActivation>{''.join(activations)}</sr:ReportFirmwareActivation>", "11.30")


def hubs(count: int) -> list[EUI]:
    return [EUI(f"00-DB-12-34-56-{n >> 16 & 255:02X}-{n >> 8 & 255:02X}-{n & 255:02X}") for n in range(count)]


def alert(body: AnyAlertBody | None = None, counter: int = 1) -> bytes:
    """A signed alert: N64, unless another is given."""
    body = body or CommsHubFirmwareActivation(device_id=HUB, firmware_version="1.2.3")
    response_id = ResponseID(originator=DCC, target=SUPPLIER, counter=counter)
    return write_alert(Alert(recipient=SUPPLIER, body=body), response_id, NOW, ACCESS_CONTROL_BROKER.signer)


def response(srv: str | None = "11.6") -> bytes:
    """A signed acknowledgement of `REQUEST_ID`."""
    acknowledged = ServiceResponse(request_id=REQUEST_ID, code=ResponseCode.I99, at=NOW, srv=srv)
    return write_response(acknowledged, ACCESS_CONTROL_BROKER.signer)


def signature_refusal(octets: bytes | str, trust: TrustStore = TRUST, now=NOW) -> str:
    """Give the reason why a document's signature is refused."""
    with pytest.raises(Rejected) as refused:
        verify(parsed(octets), trust, now)
    assert refused.value.code == "E902"
    return refused.value.reason
