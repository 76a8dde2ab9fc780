"""What is asked of the service: documents, signed beforehand, with what must come of each.

The usual mix is Suppliers at work in a consultation and CSPs that report a few hubs at a time. Of a hundred requests:

| requests | what | Service Response | alerts |
|--:|---|---|---|
| 40 | 11.6 with three hubs, one in four with a schedule | `I99` | N902 |
| 5 | 11.6 with two hubs and one that is unknown | `W110601` | N903 |
| 5 | 11.6 for a campaign that is not there | `E110601` | N904 |
| 15 | 11.5 | `I0`, with two lists | none |
| 15 | 11.9 | `I0`, with counts | none |
| 10 | 11.7 | `I99` | N910 |
| 10 | 11.30 with two hubs | `I99` | N911, and N64 to both Suppliers of each |
"""

import random
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from chfw_sr.messages import (
    EUI,
    Activation,
    ActivationResult,
    Body,
    CampaignID,
    DeletePilotPreferences,
    ReadCampaignStatus,
    ReadPilotPlan,
    ReportFirmwareActivation,
    UpdatePilotPreferences,
    Window,
)

from .frames import Message
from .world import (
    CAMPAIGN,
    CAMPAIGNS,
    CSP,
    DAY,
    LARGE_CAMPAIGN,
    LARGE_HUBS,
    LARGE_SUPPLIER,
    NEW,
    NOMINATED,
    REGIONS,
    REPORTED_FROM,
    SUPPLIER,
    SUPPLIERS,
    World,
    hub_eui,
    hub_number,
    region_of,
)

EXCHANGE = "chfw.requests"
UNKNOWN_HUB = EUI("00-DB-FF-FF-FF-FF-FF-FF")
UNKNOWN_CAMPAIGN = CampaignID("no-such-campaign")


@dataclass(frozen=True, slots=True)
class Document:
    """A signed request and what must come of it.

    Attributes:
        code: of its Service Response.
        outcome: code of its outcome alert; None where the response alone is the answer.
        alerts: all alerts that it causes.
        hubs: of its list that are written down in the database.
    """

    request_id: str
    srv: str
    octets: bytes
    code: str
    outcome: str | None
    alerts: int
    hubs: int

    @property
    def message(self) -> Message:
        """As it is published."""
        return Message(EXCHANGE, self.srv, self.request_id, self.srv, self.octets)


def messages_of(documents: Iterable[Document]) -> int:
    """Count the messages that documents cause: a response each, and alerts."""
    return sum(1 + document.alerts for document in documents)


def codes_of(documents: Iterable[Document]) -> Counter[str]:
    """Count the response codes that documents must have."""
    return Counter(document.code for document in documents)


class Mix:
    """Makes documents.

    Args:
        world: who sends them, and about which hubs.
        seed: of everything that is left to chance.
    """

    def __init__(self, world: World, seed: int = 1) -> None:
        self._world = world
        self._random = random.Random(seed)
        self._began = datetime.now(UTC).replace(microsecond=0)
        self._reported = 0
        self._large = 0

    def usual(self, count: int) -> list[Document]:
        """Make the mix of the table above, shuffled."""
        shares: list[tuple[int, Callable[[], Document]]] = [
            (40, self.accepted),
            (5, self.partly),
            (5, self.refused),
            (15, lambda: self._read(ReadPilotPlan)),
            (15, lambda: self._read(ReadCampaignStatus)),
            (10, self._deleted),
            (10, lambda: self.report(2)),
        ]
        makers = [maker for share, maker in shares for _ in range(share)]
        chosen = [makers[place % len(makers)] for place in range(count)]
        self._random.shuffle(chosen)
        return [maker() for maker in chosen]

    def preferences(self, count: int) -> list[Document]:
        """Make 11.6 that are accepted, and nothing else."""
        return [self.accepted() for _ in range(count)]

    def _pair(self) -> tuple[int, int]:
        return self._random.randrange(SUPPLIERS), self._random.randrange(CAMPAIGNS)

    def _chosen(self, supplier: int, campaign: int, count: int) -> tuple[EUI, ...]:
        return tuple(hub_eui(hub_number(supplier, campaign, which)) for which in self._random.sample(NOMINATED, count))

    def _document(self, sender: EUI, body: Body, code: str, outcome: str | None, *, alerts: int, hubs: int) -> Document:
        request_id, octets = self._world.request(sender, body)
        return Document(str(request_id), str(body.srv), octets, code, outcome, alerts, hubs)

    def accepted(self, hubs: int = 3) -> Document:
        """Make an 11.6 that is accepted whole."""
        supplier, campaign = self._pair()
        start = self._began + 12 * DAY
        schedule = tuple(
            Window(window_id=each + 1, start=start + each * DAY, end=start + each * DAY + timedelta(hours=8))
            for each in range(3)
        )
        body = UpdatePilotPreferences(
            campaign_id=CAMPAIGN[campaign],
            preferred_list=self._chosen(supplier, campaign, hubs),
            preferred_schedule=schedule if self._random.random() < 0.25 else None,
        )
        return self._document(SUPPLIER[supplier], body, "I99", "N902", alerts=1, hubs=hubs)

    def partly(self) -> Document:
        """Make an 11.6 that is accepted in part."""
        supplier, campaign = self._pair()
        chosen = (*self._chosen(supplier, campaign, 2), UNKNOWN_HUB)
        body = UpdatePilotPreferences(campaign_id=CAMPAIGN[campaign], preferred_list=chosen)
        return self._document(SUPPLIER[supplier], body, "W110601", "N903", alerts=1, hubs=2)

    def refused(self) -> Document:
        """Make an 11.6 for a campaign that is not there."""
        supplier, campaign = self._pair()
        body = UpdatePilotPreferences(campaign_id=UNKNOWN_CAMPAIGN, preferred_list=self._chosen(supplier, campaign, 3))
        return self._document(SUPPLIER[supplier], body, "E110601", "N904", alerts=1, hubs=0)

    def _read(self, kind: type[ReadPilotPlan | ReadCampaignStatus]) -> Document:
        supplier, campaign = self._pair()
        body = kind(campaign_id=CAMPAIGN[campaign])
        return self._document(SUPPLIER[supplier], body, "I0", None, alerts=0, hubs=0)

    def _deleted(self) -> Document:
        supplier, campaign = self._pair()
        body = DeletePilotPreferences(campaign_id=CAMPAIGN[campaign])
        return self._document(SUPPLIER[supplier], body, "I99", "N910", alerts=1, hubs=0)

    def large(self) -> Document:
        """Make an 11.6 with as many hubs as fit one list."""
        hubs = tuple(map(hub_eui, LARGE_HUBS))
        body = UpdatePilotPreferences(campaign_id=LARGE_CAMPAIGN, preferred_list=hubs)
        return self._document(LARGE_SUPPLIER, body, "I99", "N902", alerts=1, hubs=len(hubs))

    # -------------------------------------------------------------------------------------------------------- reports

    def report(self, hubs: int) -> Document:
        """Make an 11.30 about so many hubs of one region, each with two recipients.

        Hubs take turns, so that all have reported before one does again, with a later time.
        """
        span = self._world.shares - REPORTED_FROM
        of_region = [which for which in range(REPORTED_FROM, REPORTED_FROM + span) if region_of(which) == 0]
        region = self._large % len(REGIONS)
        self._large += 1
        activations = []
        for _ in range(hubs):
            turn, pair = divmod(self._reported, SUPPLIERS * CAMPAIGNS)
            again, which = divmod(turn, len(of_region) - 1)
            supplier, campaign = pair % SUPPLIERS, pair // SUPPLIERS
            number = hub_number(supplier, campaign, of_region[which] + region)
            activations.append(
                Activation(
                    device_id=hub_eui(number),
                    firmware_version=NEW,
                    at=self._began - DAY + timedelta(seconds=again),
                    result=ActivationResult.SUCCESS,
                )
            )
            self._reported += 1
        body = ReportFirmwareActivation(activations=tuple(activations))
        return self._document(CSP[region], body, "I99", "N911", alerts=1 + 2 * hubs, hubs=hubs)

    def reports(self, count: int, hubs: int) -> Sequence[Document]:
        """Make several reports."""
        return [self.report(hubs) for _ in range(count)]
