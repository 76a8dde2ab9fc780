"""Who watches: the service tells an `Observer` what it does; metrics are made of it elsewhere."""

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from .ports import MessageKind, PublishResult
    from .processor import Outcome


class Observer(Protocol):
    """Is told of everything that operations watch. Must be quick, and must not raise."""

    def processed(self, outcomes: "list[Outcome]", seconds: float) -> None:
        """Tell of a batch that was committed.

        Args:
            outcomes: one a message.
            seconds: from the receipt of the batch to its commit.
        """
        ...

    def published(self, kind: "MessageKind", code: str, result: "PublishResult", age_seconds: float) -> None:
        """Tell of one message that the bus answered.

        Args:
            kind: where it went.
            code: SRV or alert code.
            result: what the bus said.
            age_seconds: since it was put into the outbox.
        """
        ...

    def retried(self, what: str) -> None:
        """Tell that something was unavailable and will be tried again.

        Args:
            what: `receiving`, `processing`, `publishing` or `the clock`.
        """
        ...

    def stepped(self, campaign_id: str, steps: int) -> None:
        """Tell of clock-driven steps that a campaign took."""
        ...


class Unobserved:
    """Nobody watches."""

    def processed(self, outcomes: "list[Outcome]", seconds: float) -> None:
        """Do nothing."""

    def published(self, kind: "MessageKind", code: str, result: "PublishResult", age_seconds: float) -> None:
        """Do nothing."""

    def retried(self, what: str) -> None:
        """Do nothing."""

    def stepped(self, campaign_id: str, steps: int) -> None:
        """Do nothing."""
