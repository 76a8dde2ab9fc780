"""An estate for the matrix of rights: one User of each kind, a rival, and campaigns near and far.

Campaigns are named by how they lie to the User under test:

- `own`: of model M-OWN; the User is responsible for hubs in it, the rival too;
- `foreign`: of model M-FOREIGN; only the rival has hubs of it;
- `elsewhere`: of model M-ELSE in the North; the User has such a hub in the South, and in the North one that runs the
  version already and is in no campaign;
- `unknown`: there is no such campaign.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from chfw_sr.campaign.model import Hub, User
from chfw_sr.messages import (
    EUI,
    Action,
    Activation,
    ActivationResult,
    Body,
    CampaignID,
    CreateFirmwareCampaign,
    DeletePilotPreferences,
    HubStatus,
    Period,
    PublishPilotPlan,
    PublishSafeLaunchSchedule,
    ReadCampaignStatus,
    ReadPilotPlan,
    ReadSafeLaunchSchedule,
    Region,
    ReportFirmwareActivation,
    Role,
    UpdateCampaignState,
    UpdatePilotPreferences,
    UserStatus,
    Window,
)
from chfw_sr.service.outcome import Outcome
from chfw_sr.service.ports import Delivery, OutboxMessage, UserRecord
from chfw_sr.wire import Signer, TrustedCertificate, write_request
from chfw_sr.wire.pki import issue, make_authority
from tests.service.world import DAY, OPERATOR, START, World

OLD, NEW = "01.00", "02.00"
RIVAL = EUI("90-B3-D5-1F-30-0A-00-00")
RIVAL_NETWORK = EUI("90-B3-D5-1F-30-0B-00-00")
SOUTH = EUI("90-B3-D5-1F-30-0C-00-00")
OWN, FOREIGN, ELSEWHERE, UNKNOWN = map(CampaignID, ("C-OWN", "C-FAR", "C-OUT", "C-NIL"))
"""As long as each other, so that documents about them are."""

CAMPAIGNS = (OWN, FOREIGN, ELSEWHERE, UNKNOWN)
MODELS = {OWN: "M-OWN", FOREIGN: "M-FOREIGN", ELSEWHERE: "M-ELSE"}
SCHEDULE = (Window(window_id=1, start=START + 20 * DAY, end=START + 21 * DAY),)


@dataclass(frozen=True)
class Kind:
    """A kind of User: roles and status, and as which party its hubs name it."""

    name: str
    roles: frozenset[Role]
    party: str | None = None
    status: UserStatus = UserStatus.ACTIVE

    @property
    def user(self) -> User:
        regions = frozenset({Region.NORTH}) if Role.CSP in self.roles else frozenset()
        return User(EUI(f"90-B3-D5-1F-30-1{KINDS.index(self):X}-00-00"), self.name, self.roles, self.status, regions)


_PARTIES = {
    Role.IS: "import_supplier",
    Role.GS: "gas_supplier",
    Role.ED: "electricity_distributor",
    Role.GT: "gas_transporter",
}
KINDS = (
    *(Kind(str(role), frozenset({role}), _PARTIES.get(role)) for role in Role if role is not Role.DCC),
    Kind("IS and GS", frozenset({Role.IS, Role.GS}), "import_supplier"),
    Kind("no role", frozenset(), "import_supplier"),
    Kind("suspended IS", frozenset({Role.IS}), "import_supplier", UserStatus.SUSPENDED),
    Kind("suspended CSP", frozenset({Role.CSP}), None, UserStatus.SUSPENDED),
)
OTHERS = (
    User(OPERATOR, "Operator", frozenset({Role.DCC})),
    User(RIVAL, "Rival", frozenset({Role.IS, Role.GS})),
    User(RIVAL_NETWORK, "Rival Network", frozenset({Role.ED, Role.GT})),
    User(SOUTH, "CSP South", frozenset({Role.CSP}), regions=frozenset({Region.SOUTH})),
)
USERS = (*OTHERS, *(kind.user for kind in KINDS))


class _Keys:
    """A key for each User of an estate."""

    def __init__(self) -> None:
        authority = make_authority("Estate Authority")
        self.signers: dict[EUI, Signer] = {}
        self.certificates: dict[EUI, TrustedCertificate] = {}
        for user in USERS:
            certificate, key = issue(authority, user.eui, user.name, START - DAY, START + 900 * DAY)
            self.signers[user.eui] = Signer.of(key, certificate)
            self.certificates[user.eui] = TrustedCertificate(certificate, user.eui)


KEYS = _Keys()


def hub_eui(number: int) -> EUI:
    return EUI(f"00-DB-12-34-56-78-{number >> 8:02X}-{number & 255:02X}")


class Estate(World):
    """Users, hubs and campaigns as above, for one kind of User."""

    def __init__(self, kind: Kind, store) -> None:
        super().__init__(store=store)
        self.kind = kind
        self.eui = kind.user.eui
        for user in USERS:
            self.bus.declare_user(user.eui)
        self.hubs: dict[str, Hub] = {}
        party = {kind.party: self.eui} if kind.party else {}
        rivals = {"import_supplier": RIVAL, "electricity_distributor": RIVAL_NETWORK}
        self._add("own", OWN, **(rivals | party))
        self._add("own too", OWN, **(rivals | party))
        self._add("own, pending", OWN, status=HubStatus.PENDING, **(rivals | party))
        self._add("own, running", OWN, version=NEW, **(rivals | party))
        self._add("own, other model", FOREIGN, version=NEW, **(rivals | party))
        self._add("own, elsewhere", ELSEWHERE, region=Region.SOUTH, **(rivals | party))
        self._add("own, there but running", ELSEWHERE, version=NEW, **(rivals | party))
        for number in range(5):
            for campaign in MODELS:
                self._add(f"rival's {number} of {campaign}", campaign, **rivals)

    def _add(self, name, campaign, *, version=OLD, region=Region.NORTH, status=HubStatus.COMMISSIONED, **parties):
        eui = hub_eui(len(self.hubs) + 1)
        self.hubs[name] = Hub(eui, "Acme", MODELS[campaign], version, region, status, **parties)

    def its_hubs(self, user: EUI) -> set[EUI]:
        """Give the hubs that a User is responsible for."""
        parties = _PARTIES.values()
        return {hub.eui for hub in self.hubs.values() if user in [getattr(hub, party) for party in parties]}

    async def populate(self) -> "Estate":
        records = [UserRecord(user, (KEYS.certificates[user.eui],)) for user in USERS]
        await self.store.register.save_users(records, START)

        async def chunks():
            yield tuple(self.hubs.values())

        await self.store.register.import_hubs(chunks(), START)
        for campaign, model in MODELS.items():
            body = CreateFirmwareCampaign(
                campaign_id=campaign,
                manufacturer="Acme",
                model=model,
                firmware_version=NEW,
                regions=(Region.NORTH,),
                pilot_period=Period(start=START, end=START + 60 * DAY),
            )
            assert not (await self.send(OPERATOR, body)).code.is_error
            plan = PublishPilotPlan(
                campaign_id=campaign,
                response_deadline=START + 5 * DAY,
                default_schedule=SCHEDULE,
                default_list=tuple(self.hubs[name].eui for name in self._default_list(campaign)),
            )
            assert not (await self.send(OPERATOR, plan)).code.is_error
        await self.send(RIVAL, UpdatePilotPreferences(campaign_id=OWN, preferred_schedule=SCHEDULE))
        await self.published()
        return self

    def _default_list(self, campaign: CampaignID) -> list[str]:
        own = ["own", "own too"] if campaign == OWN else []
        return own + [name for name in self.hubs if name.endswith(f"of {campaign}")]

    def octets(self, sender: EUI, body: Body, **changes) -> bytes:
        return write_request(self.request(sender, body, **changes), KEYS.signers[sender])

    async def send(self, sender: EUI, body: Body, **changes) -> Outcome:
        (outcome,) = await self.process(Delivery(self.octets(sender, body, **changes), 0))
        return outcome

    async def ask(self, sender: EUI, body: Body) -> tuple[Outcome, list[OutboxMessage]]:
        """Send a request, and give its outcome with everything that it caused to be sent."""
        return await self.send(sender, body), await self.published()


def bodies(estate: Estate, campaign: CampaignID) -> Sequence[Body]:
    """Give a request of each kind that would be served, about this campaign, to a User who may send it."""
    own, too = estate.hubs["own"].eui, estate.hubs["own too"].eui
    activation = Activation(device_id=own, firmware_version=NEW, at=START, result=ActivationResult.SUCCESS)
    return (
        ReadPilotPlan(campaign_id=campaign),
        UpdatePilotPreferences(campaign_id=campaign, preferred_list=(too,)),
        DeletePilotPreferences(campaign_id=campaign),
        ReadSafeLaunchSchedule(campaign_id=campaign),
        ReadCampaignStatus(campaign_id=campaign),
        CreateFirmwareCampaign(
            campaign_id=CampaignID(f"{campaign}-2"),
            manufacturer="Acme",
            model="M-NEW",
            firmware_version=NEW,
            pilot_period=Period(start=START, end=START + 60 * DAY),
        ),
        PublishPilotPlan(
            campaign_id=campaign, response_deadline=START + DAY, default_schedule=SCHEDULE, default_list=(own,)
        ),
        PublishSafeLaunchSchedule(campaign_id=campaign, schedule=SCHEDULE),
        UpdateCampaignState(campaign_id=campaign, action=Action.ABORT, reason="Because."),
        ReportFirmwareActivation(activations=(activation,)),
    )


_VARYING = (
    (re.compile(rb"(:)[0-9]+(</sr:(?:RequestID|ResponseID|ServiceRequestID)>)"), rb"\1N\2"),
    (re.compile(rb"(<ds:(DigestValue|SignatureValue)>)[^<]+"), rb"\1"),
    (re.compile(rb"(<sr:ResponseDateTime>)[^<]+"), rb"\1"),
)


def but_for_ids_and_times(message: OutboxMessage, *names: str) -> tuple[object, ...]:
    """Give all of a message that may tell something, but for ids, times, signatures, and the names asked about."""
    octets = message.octets
    for pattern, instead in _VARYING:
        octets = pattern.sub(instead, octets)
    for name in names:
        octets = octets.replace(name.encode(), b"?")
    return message.kind, message.recipient, message.type, message.headers, octets
