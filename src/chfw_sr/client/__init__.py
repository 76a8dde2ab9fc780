"""For adapters and subscribers: send Service Requests as a User, hear what became of them, and get the User's alerts.

    journal = Journal("supplier.journal")
    transport = RabbitTransport(Server.parse(url), user)          # from chfw_sr.client.rabbitmq
    async with Client(user=user, dcc=dcc, signer=signer, trust=trust, transport=transport, journal=journal) as client:
        submission = await client.send(ReadPilotPlan(campaign_id=campaign_id))
        response = await submission.response()

Needs neither database nor server code, and imports none. `chfw_sr.client.testing` does: it holds the whole processor in
one process, for an adapter's own tests.
"""

from chfw_sr.unavailable import Unavailable

from .alerts import AlertSubscription
from .client import Client, Submission
from .errors import AlertsWaiting, ClientStopped, ContradictoryAlert, NotPermitted, NotSubscribed
from .journal import Journal, JournalError, Reused
from .reading import Reader, ReceivedAlert, ReceivedResponse, load_trust, trust_in
from .transport import Arrival, Inbound, Source, Transport

__all__ = [
    "AlertSubscription",
    "AlertsWaiting",
    "Arrival",
    "Client",
    "ClientStopped",
    "ContradictoryAlert",
    "Inbound",
    "Journal",
    "JournalError",
    "NotPermitted",
    "NotSubscribed",
    "Reader",
    "ReceivedAlert",
    "ReceivedResponse",
    "Reused",
    "Source",
    "Submission",
    "Transport",
    "Unavailable",
    "load_trust",
    "trust_in",
]
