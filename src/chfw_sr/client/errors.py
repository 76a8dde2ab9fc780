"""What a client raises, besides `Unavailable`, `Rejected` and `JournalError`."""

from chfw_sr.messages import ResponseID


class ClientStopped(Exception):  # noqa: N818 - it names the state
    """The client does not run, was closed, or has met a defect; what was sent stays in the journal."""


class NotSubscribed(Exception):  # noqa: N818 - it names the state
    """An outcome alert was waited for, and nobody reads the alerts."""


class NotPermitted(Exception):  # noqa: N818 - it names the state
    """The bus does not let this account do what was asked for; repeating is no use."""


class AlertsWaiting(Exception):  # noqa: N818 - it names the state
    """An outcome was waited for that cannot come: as many alerts as may be read ahead wait for the very caller."""


class ContradictoryAlert(Exception):  # noqa: N818 - it names what was found
    """An alert came under an id that an alert with other octets had before; it is set aside in the journal.

    Attributes:
        id: the id that both bear.
        octets: the later one.
    """

    def __init__(self, response_id: ResponseID, octets: bytes) -> None:
        super().__init__(f"{response_id} was told before with other octets; this one is set aside")
        self.id = response_id
        self.octets = octets
