"""A small world for tests of the service: Users with keys, hubs, a store, a bus and the parts between them."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from operator import attrgetter

from chfw_sr.broker.memory import InProcessBus
from chfw_sr.campaign.decision import Policy
from chfw_sr.campaign.model import Hub, User
from chfw_sr.messages import (
    EUI,
    Body,
    CampaignID,
    CreateFirmwareCampaign,
    HubStatus,
    Period,
    PublishPilotPlan,
    Region,
    RequestID,
    Role,
    ServiceRequest,
    UserStatus,
    Window,
)
from chfw_sr.service.clockwork import Clockwork
from chfw_sr.service.outcome import Outcome
from chfw_sr.service.ports import Delivery, MessageKind, OutboxMessage, Store, UserRecord
from chfw_sr.service.processor import Processor
from chfw_sr.service.relay import Relay
from chfw_sr.service.replay import ManualClock
from chfw_sr.storage.memory import MemoryStore
from chfw_sr.wire import Intake, Limits, Schemas, Signer, TrustedCertificate, write_request
from chfw_sr.wire.pki import issue, make_authority

START = datetime(2027, 1, 4, 9, tzinfo=UTC)
DAY = timedelta(days=1)
DCC = EUI("90-B3-D5-1F-30-00-00-02")
OPERATOR = EUI("90-B3-D5-1F-30-00-00-03")
ALPHA = EUI("90-B3-D5-1F-30-01-00-00")
GASCO = EUI("90-B3-D5-1F-30-02-00-00")
NORTH = EUI("90-B3-D5-1F-30-03-00-00")
SUSPENDED = EUI("90-B3-D5-1F-30-04-00-00")
CAMPAIGN = CampaignID("CH-2027-01")

USERS = (
    User(OPERATOR, "Operator", frozenset({Role.DCC})),
    User(ALPHA, "Alpha Energy", frozenset({Role.IS, Role.GS})),
    User(GASCO, "Gasco", frozenset({Role.GS})),
    User(NORTH, "CSP North", frozenset({Role.CSP}), regions=frozenset({Region.NORTH})),
    User(SUSPENDED, "Gone Quiet", frozenset({Role.IS}), UserStatus.SUSPENDED),
)


def hub_eui(number: int) -> EUI:
    return EUI(f"00-DB-12-34-56-78-{number >> 8:02X}-{number & 255:02X}")


HUBS = tuple(
    Hub(
        hub_eui(number),
        "Acme",
        "Hub-1",
        "01.00",
        Region.NORTH,
        HubStatus.COMMISSIONED,
        import_supplier=ALPHA if number < 6 else None,
        gas_supplier=GASCO,
    )
    for number in range(10)
)


def create(campaign_id: CampaignID = CAMPAIGN) -> CreateFirmwareCampaign:
    return CreateFirmwareCampaign(
        campaign_id=campaign_id,
        manufacturer="Acme",
        model="Hub-1",
        firmware_version="02.00",
        pilot_period=Period(start=START, end=START + 60 * DAY),
    )


def publish(hubs: Sequence[EUI], campaign_id: CampaignID = CAMPAIGN) -> PublishPilotPlan:
    return PublishPilotPlan(
        campaign_id=campaign_id,
        response_deadline=START + 5 * DAY,
        default_schedule=(Window(window_id=1, start=START + 10 * DAY, end=START + 11 * DAY),),
        default_list=tuple(hubs),
    )


class Keys:
    """A test authority, and a key for each User."""

    def __init__(self) -> None:
        authority = make_authority("Test Authority")
        self.signers: dict[EUI, Signer] = {}
        self.certificates: dict[EUI, TrustedCertificate] = {}
        for eui in (DCC, *(user.eui for user in USERS)):
            certificate, key = issue(authority, eui, f"User {eui}", START - 30 * DAY, START + 900 * DAY)
            self.signers[eui] = Signer.of(key, certificate)
            self.certificates[eui] = TrustedCertificate(certificate, eui)


KEYS = Keys()


class KeepingPublisher:
    """Keeps what the bus confirmed, in order."""

    def __init__(self, bus: InProcessBus) -> None:
        self._publisher = bus.publisher()
        self.messages: list[OutboxMessage] = []

    async def publish(self, messages):
        results = await self._publisher.publish(messages)
        self.messages += messages
        return results


@dataclass
class World:
    """The service's parts on one store, with counters of what the Users send."""

    store: Store = field(default_factory=MemoryStore)
    policy: Policy = field(default_factory=Policy)
    clock: ManualClock = field(default_factory=lambda: ManualClock(START))

    def __post_init__(self) -> None:
        self.bus = InProcessBus()
        for user in USERS:
            self.bus.declare_user(user.eui)
        self.publisher = KeepingPublisher(self.bus)
        self.processor = Processor(
            store=self.store,
            intake=Intake(Schemas.load(), Limits()),
            signer=KEYS.signers[DCC],
            dcc=DCC,
            policy=self.policy,
            clock=self.clock,
        )
        self.relay = Relay(store=self.store, publisher=self.publisher, clock=self.clock)
        self.clockwork = Clockwork(
            store=self.store, signer=KEYS.signers[DCC], dcc=DCC, policy=self.policy, clock=self.clock
        )
        self._counters: dict[EUI, int] = {}

    async def populate(self) -> "World":
        await self.store.register.save_users(
            [UserRecord(user, (KEYS.certificates[user.eui],)) for user in USERS], START
        )

        async def chunks():
            yield HUBS

        await self.store.register.import_hubs(chunks(), START)
        return self

    def request(self, sender: EUI, body: Body, **changes) -> ServiceRequest:
        self._counters[sender] = self._counters.get(sender, 0) + 1
        request_id = RequestID(originator=sender, target=DCC, counter=self._counters[sender])
        return ServiceRequest(request_id=request_id, body=body).model_copy(update=changes)

    def octets(self, sender: EUI, body: Body, **changes) -> bytes:
        return write_request(self.request(sender, body, **changes), KEYS.signers[sender])

    async def process(self, *documents: bytes | Delivery) -> list[Outcome]:
        deliveries = [
            replace(each, tag=tag) if isinstance(each, Delivery) else Delivery(each, tag)
            for tag, each in enumerate(documents)
        ]
        return list(await self.processor.process(deliveries))

    async def send(self, sender: EUI, body: Body, **changes) -> Outcome:
        (outcome,) = await self.process(self.octets(sender, body, **changes))
        return outcome

    async def published(self) -> list[OutboxMessage]:
        """Relay everything, and give what came out since the last call, in the order in which it was put in."""
        await self.relay.drain()
        messages, self.publisher.messages = self.publisher.messages, []
        return sorted(messages, key=attrgetter("id"))

    async def told(self) -> list[tuple[str, str]]:
        """Relay everything, and give recipients and codes of the alerts since the last call."""
        return [(each.recipient, each.type) for each in await self.published() if each.kind is MessageKind.ALERT]
