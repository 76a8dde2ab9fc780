"""The world that is measured: Suppliers, CSPs, hubs, campaigns, their keys, and files to import them from.

A hub is named by three numbers: which Supplier imports its electricity, which campaign is for its model, and which one
it is of those that share the two. Its gas is another Supplier's, so that every hub has two recipients.
"""

import csv
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import chain, islice
from pathlib import Path

from chfw_sr.messages import (
    EUI,
    Body,
    CampaignID,
    CreateFirmwareCampaign,
    Period,
    PublishPilotPlan,
    Region,
    RequestID,
    Role,
    ServiceRequest,
    Window,
)
from chfw_sr.wire import Signer, write_request
from chfw_sr.wire.pki import certificate_pem, issue, key_pem, make_authority

DCC = EUI("90-B3-D5-1F-30-00-00-02")
OPERATOR = EUI("90-B3-D5-1F-30-00-00-03")
REGIONS = tuple(Region)
SUPPLIERS = 40
CAMPAIGNS = 10
NETWORKS = 4
"""Electricity distributors, and gas transporters."""

MANUFACTURER = "Acme"
OLD, NEW = "01.00", "02.00"
DAY = timedelta(days=1)

DEFAULT_PART = 20
"""Hubs of each Supplier in a campaign's Default Pilot List: the first ones."""
NOMINATED = range(DEFAULT_PART, 70)
"""Which hubs Suppliers nominate; what comes after them is reported as activated."""
REPORTED_FROM = NOMINATED.stop


def _eui(prefix: str, number: int) -> EUI:
    text = f"{int(prefix.replace('-', ''), 16) + number:016X}"
    return EUI("-".join(text[place : place + 2] for place in range(0, 16, 2)))


SUPPLIER = [_eui("90-B3-D5-1F-30-01-00-00", number) for number in range(SUPPLIERS)]
DISTRIBUTOR = [_eui("90-B3-D5-1F-30-02-00-00", number) for number in range(NETWORKS)]
TRANSPORTER = [_eui("90-B3-D5-1F-30-03-00-00", number) for number in range(NETWORKS)]
CSP = [_eui("90-B3-D5-1F-30-04-00-00", number) for number in range(len(REGIONS))]
LARGE_SUPPLIER = _eui("90-B3-D5-1F-30-05-00-00", 0)
"""One more Supplier, all of whose hubs are of one more model."""
LARGE_CAMPAIGN = CampaignID("CH-2027-LARGE")
LARGE_HUBS = range(2**40, 2**40 + 50_000)
"""Numbers of its hubs: as many as fit one list."""
CAMPAIGN = [CampaignID(f"CH-2027-{number:02}") for number in range(CAMPAIGNS)]


def hub_number(supplier: int, campaign: int, which: int) -> int:
    """Number a hub."""
    return (which * CAMPAIGNS + campaign) * SUPPLIERS + supplier


def hub_eui(number: int) -> EUI:
    """Name a hub."""
    return _eui("00-DB-12-34-00-00-00-00", number)


def region_of(which: int) -> int:
    """Tell the region of a hub, by its last number."""
    return which % len(REGIONS)


def gas_supplier(number: int) -> EUI:
    """Give the Supplier of a hub's gas: another one than that of its electricity."""
    return SUPPLIER[(number % SUPPLIERS + 1 + number // (SUPPLIERS * CAMPAIGNS) % (SUPPLIERS - 1)) % SUPPLIERS]


def hub_rows(first: int, last: int) -> Iterator[tuple[str, ...]]:
    """Give hubs as lines of an inventory."""
    for number in range(first, last):
        yield (
            hub_eui(number),
            MANUFACTURER,
            f"Hub-{number // SUPPLIERS % CAMPAIGNS}",
            OLD,
            REGIONS[region_of(number // (SUPPLIERS * CAMPAIGNS))],
            "Commissioned",
            SUPPLIER[number % SUPPLIERS],
            gas_supplier(number),
            DISTRIBUTOR[number % NETWORKS],
            TRANSPORTER[number // NETWORKS % NETWORKS],
        )


def large_rows() -> Iterator[tuple[str, ...]]:
    """Give the large Supplier's hubs as lines of an inventory."""
    for number in LARGE_HUBS:
        gas = SUPPLIER[number % SUPPLIERS]
        yield hub_eui(number), MANUFACTURER, "Hub-L", OLD, REGIONS[0], "Commissioned", LARGE_SUPPLIER, gas, "", ""


HUB_COLUMNS = (
    "eui", "manufacturer", "model", "firmware_version", "region", "status",
    "import_supplier", "gas_supplier", "electricity_distributor", "gas_transporter",
)  # fmt: skip


@dataclass
class World:
    """Keys of everybody, and the files that register them.

    Attributes:
        folder: where the files lie.
        hubs: how many there are; a multiple of Suppliers times campaigns.
        signers: the key of each User.
    """

    folder: Path
    hubs: int
    signers: dict[EUI, Signer] = field(default_factory=dict)
    _counter: int = 0

    def __post_init__(self) -> None:
        now = datetime.now(UTC).replace(microsecond=0)
        authority = make_authority("Benchmark Authority")
        rows = []
        for eui, name, roles, region in self._users():
            certificate, key = issue(authority, eui, name, now - DAY, now + 365 * DAY)
            self.signers[eui] = Signer.of(key, certificate)
            (self.folder / f"{eui}.pem").write_bytes(certificate_pem(certificate))
            if eui == DCC:
                self.signing_key.write_bytes(key_pem(key))
                self.signing_key.chmod(0o600)
            else:
                rows.append((eui, name, roles, region, f"{eui}.pem"))
        _write_csv(self.users_file, ("eui", "name", "roles", "regions", "certificates"), rows)
        _write_csv(self.hubs_file, HUB_COLUMNS, chain(hub_rows(0, self.hubs), large_rows()))

    @staticmethod
    def _users() -> Iterator[tuple[EUI, str, str, str]]:
        yield DCC, "DCC", "", ""
        yield OPERATOR, "Operator", Role.DCC, ""
        yield from ((eui, f"Supplier {place}", f"{Role.IS};{Role.GS}", "") for place, eui in enumerate(SUPPLIER))
        yield LARGE_SUPPLIER, "Large Supplier", f"{Role.IS};{Role.GS}", ""
        yield from ((eui, f"Distributor {place}", Role.ED, "") for place, eui in enumerate(DISTRIBUTOR))
        yield from ((eui, f"Transporter {place}", Role.GT, "") for place, eui in enumerate(TRANSPORTER))
        yield from ((eui, f"CSP {place}", Role.CSP, REGIONS[place]) for place, eui in enumerate(CSP))

    @property
    def users_file(self) -> Path:
        """For `users import`."""
        return self.folder / "users.csv"

    @property
    def hubs_file(self) -> Path:
        """For `inventory import`."""
        return self.folder / "hubs.csv"

    @property
    def signing_key(self) -> Path:
        """The DCC's private key."""
        return self.folder / "dcc.key.pem"

    @property
    def settings(self) -> dict[str, str]:
        """What the service needs to know of it."""
        return {"signing_key": str(self.signing_key), "signing_certificate": str(self.folder / f"{DCC}.pem")}

    @property
    def shares(self) -> int:
        """How many hubs share a Supplier and a campaign."""
        return self.hubs // (SUPPLIERS * CAMPAIGNS)

    def request(self, sender: EUI, body: Body) -> tuple[RequestID, bytes]:
        """Make and sign a request."""
        self._counter += 1
        request_id = RequestID(originator=sender, target=DCC, counter=self._counter)
        return request_id, write_request(ServiceRequest(request_id=request_id, body=body), self.signers[sender])

    def opening(self) -> Sequence[Body]:
        """Give the operator's requests that open every campaign for preferences, in order."""
        lists = [
            [hub_number(supplier, place, which) for which in range(DEFAULT_PART) for supplier in range(SUPPLIERS)]
            for place in range(CAMPAIGNS)
        ]
        bodies = [
            body
            for place, campaign_id in enumerate(CAMPAIGN)
            for body in _opened(campaign_id, f"Hub-{place}", lists[place])
        ]
        return [*bodies, *_opened(LARGE_CAMPAIGN, "Hub-L", LARGE_HUBS[:DEFAULT_PART])]


def _opened(campaign_id: CampaignID, model: str, hubs: Sequence[int]) -> tuple[Body, Body]:
    now = datetime.now(UTC).replace(microsecond=0)
    return (
        CreateFirmwareCampaign(
            campaign_id=campaign_id,
            manufacturer=MANUFACTURER,
            model=model,
            firmware_version=NEW,
            pilot_period=Period(start=now, end=now + 60 * DAY),
        ),
        PublishPilotPlan(
            campaign_id=campaign_id,
            response_deadline=now + 5 * DAY,
            default_schedule=(Window(window_id=1, start=now + 10 * DAY, end=now + 11 * DAY),),
            default_list=tuple(map(hub_eui, hubs)),
        ),
    )


def _write_csv(path: Path, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    rows = iter(rows)
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        while some := list(islice(rows, 10_000)):
            writer.writerows(some)
