"""What becomes of a delivery."""

from dataclasses import dataclass
from enum import StrEnum

from chfw_sr.messages import CampaignID, RequestID
from chfw_sr.quick import quick

DEFECT = "DEFECT"
"""The code of a quarantined message that met a defect of ours."""


class Ending(StrEnum):
    """How a delivery ended."""

    DONE = "Done"
    REFUSED = "Refused"
    REPEATED = "Repeated"
    QUARANTINED = "Quarantined"
    DROPPED = "Dropped"
    """As quarantined, but too many came: nothing is kept of it."""


@quick
@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one delivery.

    Attributes:
        code: the response code, or `DEFECT`.
        reason: why it was refused or quarantined.
        alerts: how many alerts it caused.
        campaign_id: the campaign that the request names, if it could be read.
    """

    ending: Ending
    code: str
    request_id: RequestID | None = None
    srv: str | None = None
    reason: str | None = None
    alerts: int = 0
    campaign_id: CampaignID | None = None
