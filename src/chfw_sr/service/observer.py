"""Who watches: the service tells an `Observer` what it does; metrics are made of it elsewhere."""

from collections.abc import Sequence
from enum import StrEnum
from typing import Protocol

from .outcome import Outcome
from .ports import MessageKind, PublishResult


class Loop(StrEnum):
    """The loops of a running service."""

    CONSUMER = "consumer"
    RELAY = "relay"
    EMAIL = "email"
    CLOCK = "clock"
    HEARTBEAT = "heartbeat"
    PURGE = "purge"
    PROBE = "probe"


class Observer(Protocol):
    """Is told of everything that operations watch. Must be quick, and must not raise."""

    def processed(self, outcomes: Sequence[Outcome], seconds: float) -> None:
        """Tell of a batch that was committed.

        Args:
            outcomes: one a message.
            seconds: from the receipt of the batch to its commit.
        """
        ...

    def published(self, kind: MessageKind, code: str, result: PublishResult, ages_seconds: Sequence[float]) -> None:
        """Tell of messages that the bus answered alike.

        Args:
            kind: where it went.
            code: SRV or alert code.
            result: what the bus said.
            ages_seconds: of each, since it was put into the outbox.
        """
        ...

    def retried(self, what: str) -> None:
        """Tell that something was unavailable and will be tried again.

        Args:
            what: `receiving`, `processing`, `acknowledging`, `publishing`, or the loop's name.
        """
        ...

    def stepped(self, campaign_id: str, steps: int) -> None:
        """Tell of clock-driven steps that a campaign took."""
        ...

    def stalled(self, campaign_id: str) -> None:
        """Tell of a campaign whose clock-driven step met a defect; it will be tried again after a while."""
        ...

    def came_round(self, loop: Loop) -> None:
        """Tell that a loop came round, or tried again: it is not stuck."""
        ...

    def waits(self, loop: Loop) -> None:
        """Tell that a loop waits for work from now on, however long that takes, until it comes round."""
        ...

    def leads(self, leading: bool) -> None:
        """Tell whether this process's clock is the one that is active."""
        ...


class Unobserved:
    """Nobody watches."""

    def processed(self, outcomes: Sequence[Outcome], seconds: float) -> None:
        """Do nothing."""

    def published(self, kind: MessageKind, code: str, result: PublishResult, ages_seconds: Sequence[float]) -> None:
        """Do nothing."""

    def retried(self, what: str) -> None:
        """Do nothing."""

    def stepped(self, campaign_id: str, steps: int) -> None:
        """Do nothing."""

    def stalled(self, campaign_id: str) -> None:
        """Do nothing."""

    def came_round(self, loop: Loop) -> None:
        """Do nothing."""

    def waits(self, loop: Loop) -> None:
        """Do nothing."""

    def leads(self, leading: bool) -> None:
        """Do nothing."""
