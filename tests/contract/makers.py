"""Users, hubs, campaigns and requests for the contract of the store, with all that a test does not care about."""

from collections.abc import AsyncIterator, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import cache
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from chfw_sr.campaign.changes import CampaignEvent, CampaignSaved, Change, RecordedActivation
from chfw_sr.campaign.facts import Facts, Needs
from chfw_sr.campaign.model import Campaign, Hub, User
from chfw_sr.messages import (
    EUI,
    Activation,
    ActivationResult,
    CampaignID,
    HubStatus,
    Period,
    Phase,
    Region,
    RequestID,
    ResponseCode,
    Role,
    Window,
)
from chfw_sr.service.ports import (
    Cause,
    Claim,
    HistoryRow,
    InboxRecord,
    MessageKind,
    OutboxMessage,
    OutboxStatus,
    Quarantined,
    Store,
    UserRecord,
)
from chfw_sr.wire import TrustedCertificate

AT = datetime(2026, 3, 1, 12, 0, 0, 250, tzinfo=UTC)
"""A time with microseconds, so that losing them shows."""

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)

DCC = EUI("90-B3-D5-1F-30-00-00-02")
OPERATOR = EUI("90-B3-D5-1F-30-00-00-10")
ALICE = EUI("90-B3-D5-1F-30-01-00-00")
BOB = EUI("90-B3-D5-1F-30-01-00-01")
CAROL = EUI("90-B3-D5-1F-30-01-00-02")
EDWIN = EUI("90-B3-D5-1F-30-02-00-00")
GINA = EUI("90-B3-D5-1F-30-03-00-00")
MODEL = ("Acme", "CH-1")
OLD, NEW = "1.0", "2.0"
SUCCESS, FAILURE = ActivationResult.SUCCESS, ActivationResult.FAILURE


def cid(text: str) -> CampaignID:
    return CampaignID(text)


C1, C2 = cid("C1"), cid("C2")


def hub_eui(number: int) -> EUI:
    digits = f"{number:08X}"
    return EUI("00-DB-12-34-" + "-".join(digits[at : at + 2] for at in range(0, 8, 2)))


def hub(number: int, **fields: Any) -> Hub:
    """Make a hub that campaign `campaign()` targets, led by Alice."""
    known: dict[str, Any] = {
        "manufacturer": MODEL[0],
        "model": MODEL[1],
        "firmware_version": OLD,
        "region": Region.NORTH,
        "status": HubStatus.COMMISSIONED,
        "import_supplier": ALICE,
    }
    return Hub(hub_eui(number), **known | fields)


def user(eui: EUI, *roles: Role, **fields: Any) -> User:
    return User(eui, f"User {eui[-2:]}", frozenset(roles or (Role.IS,)), **fields)


def campaign(campaign_id: CampaignID = C1, **fields: Any) -> Campaign:
    known: dict[str, Any] = {
        "operator": OPERATOR,
        "manufacturer": MODEL[0],
        "model": MODEL[1],
        "firmware_version": NEW,
        "regions": frozenset({Region.NORTH, Region.SOUTH}),
        "pilot_period": Period(start=AT, end=AT + 30 * DAY),
        "safe_launch_period": None,
        "minimum_notice_days": 7,
        "pilot_devices": None,
        "failure_threshold": Decimal("5.5"),
        "created_at": AT,
    }
    return Campaign(campaign_id, **known | fields)


def window(number: int = 1, *, start: datetime = AT + 10 * DAY, max_devices: int | None = None) -> Window:
    start += number * HOUR
    return Window(window_id=number, start=start, end=start + HOUR, max_devices=max_devices)


def request_id(number: int, originator: EUI = ALICE) -> RequestID:
    return RequestID(originator=originator, target=DCC, counter=number)


CAUSE = Cause(AT, request_id(2**64 - 1))


def claim(number: int, content: str = "content") -> Claim:
    return Claim(request_id(number), content.encode().ljust(32, b"\0"))


def record(
    claimed: Claim, response: bytes = b"<response/>", *, code: ResponseCode = ResponseCode.I99, at: datetime = AT
) -> InboxRecord:
    return InboxRecord(claimed, "11.6", code, response, at)


def result(
    number: int,
    outcome: ActivationResult = SUCCESS,
    *,
    at: datetime = AT,
    version: str = NEW,
    campaign_id: CampaignID | None = C1,
    phase: Phase | None = Phase.PILOT,
    effective: bool = True,
) -> RecordedActivation:
    reason = "no power" if outcome is FAILURE else None
    activation = Activation(
        device_id=hub_eui(number), firmware_version=version, at=at, result=outcome, failure_reason=reason
    )
    return RecordedActivation(activation, campaign_id, phase, effective)


def quarantined(octets: bytes = b"\x00\xff<", **fields: Any) -> Quarantined:
    known: dict[str, Any] = {"code": "E900", "reason": "not well-formed", "received_at": AT}
    return Quarantined(octets, **known | fields)


def message(number: int, **fields: Any) -> OutboxMessage:
    known: dict[str, Any] = {
        "kind": MessageKind.ALERT,
        "recipient": ALICE,
        "message_id": f"{DCC}:{ALICE}:{number}",
        "type": "N64",
        "octets": b"<alert>\xc3\xa9</alert>",
        "created_at": AT,
    }
    return OutboxMessage(number, **known | fields)


@cache
def certificate(holder: EUI, serial: int) -> x509.Certificate:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name(
        [
            x509.NameAttribute(
                NameOID.X500_UNIQUE_IDENTIFIER,
                b"\0" + bytes.fromhex(holder.replace("-", "")),
                _type=x509.name._ASN1Type.BitString,
            )
        ]
    )
    issuer = x509.Name(
        [x509.NameAttribute(NameOID.COMMON_NAME, "Z1"), x509.NameAttribute(NameOID.ORGANIZATION_NAME, "T")]
    )
    builder = x509.CertificateBuilder(issuer, subject, key.public_key(), serial, AT, AT + 365 * DAY)
    return builder.sign(key, hashes.SHA256())


def trusted(holder: EUI, serial: int, revoked_at: datetime | None = None) -> TrustedCertificate:
    return TrustedCertificate(certificate(holder, serial), holder, revoked_at)


# ------------------------------------------------------------------------------------------------ what many tests do


async def chunks(*hubs: Sequence[Hub]) -> AsyncIterator[Sequence[Hub]]:
    for chunk in hubs:
        yield chunk


async def stock(store: Store, *hubs: Hub) -> None:
    """Put hubs into the inventory."""
    await store.register.import_hubs(chunks(hubs), AT)


async def enrol(store: Store, *users: User) -> None:
    await store.register.save_users([UserRecord(each) for each in users], AT)


async def apply(store: Store, *changes: Change, cause: Cause = CAUSE) -> None:
    """Carry out changes in a transaction of their own."""
    async with store.begin() as work:
        await work.apply(changes, cause)
        await work.commit()


async def create(store: Store, *campaigns: Campaign) -> None:
    await apply(store, *(CampaignSaved(each, CampaignEvent.CREATED) for each in campaigns or (campaign(),)))


async def facts(store: Store, **needs: Any) -> Facts:
    """Answer needs in a transaction of their own."""
    async with store.begin() as work:
        return await work.facts(Needs(**needs))


async def found(store: Store, *numbers: int) -> list[Hub]:
    """Give hubs as facts have them."""
    euis = tuple(hub_eui(number) for number in numbers)
    hubs = (await facts(store, hubs=euis)).hubs
    return [hubs[eui] for eui in euis]


async def timeline(store: Store, number: int) -> Sequence[HistoryRow]:
    view = await store.queries.hub(hub_eui(number))
    assert view is not None
    return view.history


async def kinds(store: Store, number: int) -> list[str]:
    """Give the kinds of a hub's history, oldest first."""
    return [row.kind for row in await timeline(store, number)]


async def post(store: Store, count: int, **fields: Any) -> list[int]:
    """Put messages into the outbox, give their ids."""
    async with store.begin() as work:
        first = await work.reserve(count)
        ids = list(range(first, first + count))
        await work.enqueue([message(number, **fields) for number in ids])
        await work.commit()
    return ids


async def mark(
    store: Store, token: str, ids: Sequence[int], status: OutboxStatus, now: datetime, *, rest_seconds: float = 0.0
) -> int:
    """Mark messages by their ids."""
    known = {entry.message.id: entry.message for entry in await store.queries.outbox(None, 1_000_000)}
    messages = [known[number] for number in ids]
    return await store.outbox.mark(token, messages, status, now, rest_seconds=rest_seconds)


def numbers(*ranges: Iterable[int]) -> tuple[EUI, ...]:
    return tuple(hub_eui(number) for each in ranges for number in each)
