"""Who takes part: a DCC operator, three Suppliers, two CSPs, their keys, and hubs by model."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import count, islice
from pathlib import Path

from chfw_sr.campaign.model import Hub, User
from chfw_sr.messages import EUI, Body, HubStatus, Region, RequestID, Role, ServiceRequest
from chfw_sr.service.ports import UserRecord
from chfw_sr.wire import Signer, TrustedCertificate, write_request
from chfw_sr.wire.pki import certificate_pem, issue, key_pem, make_authority

DCC = EUI("90-B3-D5-1F-30-00-00-02")
OPERATOR = EUI("90-B3-D5-1F-30-00-00-03")
ALPHA = EUI("90-B3-D5-1F-30-01-00-00")
BETA = EUI("90-B3-D5-1F-30-02-00-00")
GASCO = EUI("90-B3-D5-1F-30-03-00-00")
NORTH = EUI("90-B3-D5-1F-30-04-00-00")
SOUTH = EUI("90-B3-D5-1F-30-05-00-00")
SUPPLIERS = (ALPHA, BETA, GASCO)

USERS = (
    User(OPERATOR, "Operator", frozenset({Role.DCC})),
    User(ALPHA, "Alpha Energy", frozenset({Role.IS})),
    User(BETA, "Beta Power", frozenset({Role.IS, Role.GS})),
    User(GASCO, "Gasco", frozenset({Role.GS})),
    User(NORTH, "CSP North", frozenset({Role.CSP}), regions=frozenset({Region.NORTH})),
    User(SOUTH, "CSP South", frozenset({Role.CSP}), regions=frozenset({Region.SOUTH})),
)

MANUFACTURER = "Acme"
OLD, NEW = "01.00", "02.00"
HUBS_A_CAMPAIGN = 12


def hub_eui(number: int) -> EUI:
    octets = f"{number:08X}"
    return EUI("00-DB-12-34-" + "-".join(octets[at : at + 2] for at in range(0, 8, 2)))


def hub(number: int, model: str) -> Hub:
    """Make a hub: regions alternate; Alpha (with Gasco for gas), Beta alone and Gasco alone take turns."""
    import_supplier, gas_supplier = ((ALPHA, GASCO), (BETA, BETA), (None, GASCO))[number % 3]
    return Hub(
        hub_eui(number),
        MANUFACTURER,
        model,
        OLD,
        Region.NORTH if number % 2 else Region.SOUTH,
        HubStatus.COMMISSIONED,
        import_supplier=import_supplier,
        gas_supplier=gas_supplier,
    )


def lead(one: Hub) -> EUI:
    """Name a hub's lead Supplier (wire contract §2)."""
    supplier = one.import_supplier or one.gas_supplier
    assert supplier is not None
    return supplier


def responsible(one: Hub) -> set[EUI]:
    """Name a hub's responsible Suppliers."""
    return {each for each in (one.import_supplier, one.gas_supplier) if each is not None}


@dataclass
class Scene:
    """Keys, hubs and counters.

    Attributes:
        campaigns: for how many campaigns there are hubs; each has a model of its own.
        loose: how many hubs belong to no campaign; half of them lie in each CSP's region.
        hot: whether Beta is responsible for all of those.
    """

    campaigns: int
    loose: int
    hot: bool = False
    signers: dict[EUI, Signer] = field(default_factory=dict)
    records: list[UserRecord] = field(default_factory=list)

    def __post_init__(self) -> None:
        now = datetime.now(UTC)
        authority = make_authority("Test Authority")
        names = {DCC: "DCC"} | {user.eui: user.name for user in USERS}
        certificates = {}
        for eui, name in names.items():
            certificate, key = issue(authority, eui, name, now - timedelta(days=1000), now + timedelta(days=1000))
            self.signers[eui] = Signer.of(key, certificate)
            certificates[eui] = (certificate, key)
        self.dcc_certificate, self.dcc_key = certificates[DCC]
        self.records = [UserRecord(user, (TrustedCertificate(certificates[user.eui][0], user.eui),)) for user in USERS]
        self._counters = {user.eui: count(1) for user in USERS}
        self._loose = {region: self._loose_of(region) for region in (Region.NORTH, Region.SOUTH)}

    def _loose_of(self, region: Region) -> Iterator[Hub]:
        return (each for each in self._all_loose() if each.region is region)

    def _all_loose(self) -> Iterator[Hub]:
        for number in range(self.loose):
            one = hub(self._first_loose + number, "Loose")
            yield replace(one, import_supplier=BETA, gas_supplier=BETA) if self.hot else one

    @property
    def _first_loose(self) -> int:
        return self.campaigns * HUBS_A_CAMPAIGN

    def write_key(self, folder: Path) -> dict[str, str]:
        """Write the DCC's key and certificate; give the settings that name them."""
        key, certificate = folder / "dcc.key", folder / "dcc.pem"
        key.write_bytes(key_pem(self.dcc_key))
        key.chmod(0o600)
        certificate.write_bytes(certificate_pem(self.dcc_certificate))
        return {
            "CHFW_SR_SIGNING_KEY": str(key),
            "CHFW_SR_SIGNING_CERTIFICATE": str(certificate),
            "CHFW_SR_DCC_EUI": DCC,
        }

    def hubs(self) -> Iterator[Hub]:
        """Give all hubs."""
        for campaign in range(self.campaigns):
            yield from self.hubs_of(campaign)
        yield from self._all_loose()

    def hubs_of(self, campaign: int) -> list[Hub]:
        """Give the hubs of a campaign's model."""
        first = campaign * HUBS_A_CAMPAIGN
        return [hub(first + number, f"Hub-{campaign}") for number in range(HUBS_A_CAMPAIGN)]

    def fresh(self, region: Region, most: int) -> list[Hub]:
        """Give hubs that nobody has reported yet; none when they are used up."""
        return list(islice(self._loose[region], most))

    def request(self, sender: EUI, body: Body, counter: int | None = None) -> tuple[str, bytes]:
        """Sign a request; give its RequestID and octets. With a `counter` it is one that was used before."""
        number = next(self._counters[sender]) if counter is None else counter
        request_id = RequestID(originator=sender, target=DCC, counter=number)
        return str(request_id), write_request(ServiceRequest(request_id=request_id, body=body), self.signers[sender])
