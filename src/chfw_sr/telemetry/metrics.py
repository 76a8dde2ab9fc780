"""What the service does, in numbers: an `Observer` that keeps Prometheus metrics.

No label takes a value from outside: an SRV or a code that is not in the catalogue counts as `other`.
"""

import math
from collections import Counter as Tally
from collections.abc import Mapping, Sequence
from datetime import datetime

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info

from chfw_sr import __version__
from chfw_sr.messages import SRV, AlertCode, ResponseCode, Stage
from chfw_sr.service.observer import Loop
from chfw_sr.service.outcome import DEFECT, Ending, Outcome
from chfw_sr.service.ports import Depths, MessageKind, PublishResult

from .health import OK, Health
from .tallies import TalliedHistogram

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800)
BATCHES = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)
OTHER = "other"
NONE = "none"

_SRVS = frozenset(map(str, SRV))
_CODES = frozenset({*map(str, ResponseCode), DEFECT})
_ALERTS = frozenset(map(str, AlertCode))
_RETRIED = frozenset({"receiving", "processing", "acknowledging", "publishing", *map(str, Loop)})


class PrometheusObserver:
    """Keeps metrics of everything that it is told; an `Observer`.

    Args:
        health: is told which loops come round.
        registry: where the metrics are collected from; a new one if absent.
    """

    def __init__(self, health: Health, registry: CollectorRegistry | None = None) -> None:
        self.registry = registry or CollectorRegistry()
        self._health = health
        self._make_counters()
        self._make_gauges()
        Info("chfw_sr", "The program.", registry=self.registry).info({"version": __version__})

    def _make_counters(self) -> None:
        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(f"chfw_sr_{name}", text, labels, registry=self.registry)

        def histogram(name: str, text: str, *, buckets: tuple[float, ...] = SECONDS) -> Histogram:
            return Histogram(f"chfw_sr_{name}", text, buckets=buckets, registry=self.registry)

        self._requests = counter("requests", "Service Requests that were committed.", "srv", "ending", "code")
        self._quarantined = counter("quarantined", "Inputs that were put aside.", "code")
        self._batch = histogram("batch_messages", "Service Requests in one transaction.", buckets=BATCHES)
        self._processing = histogram("processing_seconds", "From the receipt of a batch to its commit.")
        self._alerts = counter("alerts_published", "Alerts that the bus has confirmed.", "code")
        self._published = counter("published", "Messages that the bus has answered.", "kind", "result")
        self._publish_age = TalliedHistogram(
            "chfw_sr_publish_age_seconds",
            "From the outbox to the bus's confirm.",
            "kind",
            buckets=SECONDS,
            registry=self.registry,
        )
        self._retries = counter("retries", "Attempts that met a server that was away or busy.", "what")
        self._steps = counter("clock_steps", "Clock-driven steps that campaigns took.")
        self._stalled = counter("clock_defects", "Clock-driven steps that met a defect; tried again after a while.")

    def _make_gauges(self) -> None:
        def gauge(name: str, text: str, *labels: str) -> Gauge:
            return Gauge(f"chfw_sr_{name}", text, labels, registry=self.registry)

        self._leads = gauge("clock_active", "1 where this process's clock is the active one.")
        self._outbox = gauge("outbox_messages", "Messages that wait to be published; counting ends at 100,000.")
        self._oldest = gauge("outbox_oldest_seconds", "Age of the oldest of them; 0 where there is none.")
        self._emails = gauge("email_messages", "Alerts that wait to be sent by e-mail; counting ends at 100,000.")
        self._oldest_email = gauge("email_oldest_seconds", "Age of the oldest of them; 0 where there is none.")
        self._waiting = gauge("quarantine_messages", "Inputs put aside and not replayed; counting ends at 100,000.")
        self._queues = gauge("queue_messages", "Messages that lie ready in a queue.", "queue")
        self._campaigns = gauge("campaigns", "Campaigns by stage.", "stage")
        self._ready = gauge("ready", "1 where a check of readiness is met.", "check")
        self._expires = gauge(
            "signing_certificate_expires_timestamp_seconds", "When the certificate of the signing key expires."
        )

    # ------------------------------------------------------------------------------------------ what the service tells

    def processed(self, outcomes: Sequence[Outcome], seconds: float) -> None:
        """Count a batch that was committed."""
        self._batch.observe(len(outcomes))
        self._processing.observe(seconds)
        alike = Tally((outcome.srv, outcome.ending, outcome.code) for outcome in outcomes)
        for (srv, ending, code), count in alike.items():
            known = _known(code, _CODES)
            self._requests.labels(_known(srv, _SRVS), ending.value, known).inc(count)
            if ending is Ending.QUARANTINED:
                self._quarantined.labels(known).inc(count)

    def published(self, kind: MessageKind, code: str, result: PublishResult, ages_seconds: Sequence[float]) -> None:
        """Count messages that the bus answered alike."""
        self._published.labels(kind.value, result.value).inc(len(ages_seconds))
        if result is PublishResult.CONFIRMED:
            self._publish_age.observe(kind.value, (max(0.0, age_seconds) for age_seconds in ages_seconds))
            if kind is MessageKind.ALERT:
                self._alerts.labels(_known(code, _ALERTS)).inc(len(ages_seconds))

    def retried(self, what: str) -> None:
        """Count something that will be tried again."""
        self._retries.labels(_known(what, _RETRIED)).inc()

    def stepped(self, campaign_id: str, steps: int) -> None:  # noqa: ARG002 - a campaign makes no label
        """Count clock-driven steps."""
        self._steps.inc(steps)

    def stalled(self, campaign_id: str) -> None:  # noqa: ARG002 - a campaign makes no label
        """Count a step that met a defect."""
        self._stalled.inc()

    def came_round(self, loop: Loop) -> None:
        """Pass it on."""
        self._health.came_round(loop)

    def waits(self, loop: Loop) -> None:
        """Pass it on."""
        self._health.waits(loop)

    def leads(self, leading: bool) -> None:
        """Note whether this process's clock is the active one."""
        self._leads.set(leading)

    # -------------------------------------------------------------------------------------------- what the probe tells

    def probed(self, found: Mapping[str, str]) -> None:
        """Note what a probe found: `ok`, or what is wrong, by check."""
        self._health.probed(found)
        for check, state in found.items():
            self._ready.labels(check).set(state == OK)

    def depths(self, depths: Depths | None, now: datetime) -> None:
        """Note how much waits in the database; None if nobody could tell."""
        if depths is None:
            for gauge in (self._outbox, self._oldest, self._emails, self._oldest_email, self._waiting):
                gauge.set(math.nan)
            return
        self._outbox.set(depths.outbox)
        self._oldest.set(max(0.0, (now - depths.oldest).total_seconds()) if depths.oldest else 0)
        self._emails.set(depths.emails)
        self._oldest_email.set(max(0.0, (now - depths.oldest_email).total_seconds()) if depths.oldest_email else 0)
        self._waiting.set(depths.quarantined)
        for stage in Stage:
            self._campaigns.labels(stage.value).set(depths.campaigns.get(stage, 0))

    def queues(self, depths: Mapping[str, int]) -> None:
        """Note how many messages lie ready in each of our queues; one that is not named is not known."""
        self._queues.clear()
        for queue, depth in depths.items():
            self._queues.labels(queue).set(depth)

    def expires(self, at: datetime) -> None:
        """Note when the signing certificate expires."""
        self._expires.set(at.timestamp())


def _known(value: str | None, known: frozenset[str]) -> str:
    if not value:
        return NONE
    return str(value) if value in known else OTHER
