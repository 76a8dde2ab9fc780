"""What the metrics say of what the service did."""

import math
from datetime import UTC, datetime, timedelta

import pytest
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from chfw_sr.messages import SRV, Stage
from chfw_sr.service.observer import Loop, Observer, Unobserved
from chfw_sr.service.outcome import DEFECT, Ending, Outcome
from chfw_sr.service.ports import Depths, MessageKind, PublishResult
from chfw_sr.telemetry.health import OK, Health
from chfw_sr.telemetry.metrics import PrometheusObserver

AT = datetime(2027, 1, 4, tzinfo=UTC)


@pytest.fixture
def health() -> Health:
    return Health(stuck_seconds=300, probe_seconds=5)


@pytest.fixture
def observer(health) -> PrometheusObserver:
    return PrometheusObserver(health)


def value(observer: PrometheusObserver, name: str, **labels: str) -> float | None:
    return observer.registry.get_sample_value(f"chfw_sr_{name}", labels)


def series(observer: PrometheusObserver, name: str) -> list[dict[str, str]]:
    families = text_string_to_metric_families(generate_latest(observer.registry).decode())
    return [sample.labels for family in families for sample in family.samples if sample.name == f"chfw_sr_{name}"]


def done(code: str = "I99", srv: str | None = "11.6", ending: Ending = Ending.DONE) -> Outcome:
    return Outcome(ending, code, srv=srv)


def test_it_is_an_observer(observer) -> None:
    watched: Observer = observer
    assert {each for each in dir(Unobserved) if not each.startswith("_")} <= set(dir(watched))


def test_requests_are_counted_by_srv_ending_and_code(observer) -> None:
    observer.processed([done(), done(), done("E110602", ending=Ending.REFUSED), done("I0", "11.5")], 0.2)
    assert value(observer, "requests_total", srv="11.6", ending="Done", code="I99") == 2
    assert value(observer, "requests_total", srv="11.6", ending="Refused", code="E110602") == 1
    assert value(observer, "requests_total", srv="11.5", ending="Done", code="I0") == 1


def test_batches_and_their_latency_are_measured(observer) -> None:
    observer.processed([done()] * 3, 0.2)
    observer.processed([done()], 0.02)
    assert value(observer, "batch_messages_sum") == 4
    assert value(observer, "batch_messages_count") == 2
    assert value(observer, "processing_seconds_sum") == pytest.approx(0.22)
    assert value(observer, "processing_seconds_bucket", le="0.025") == 1


def test_quarantine_is_counted_by_code(observer) -> None:
    observer.processed([done("E900", None, Ending.QUARANTINED), done(DEFECT, "11.6", Ending.QUARANTINED)], 0.1)
    assert value(observer, "quarantined_total", code="E900") == 1
    assert value(observer, "quarantined_total", code="DEFECT") == 1
    assert value(observer, "requests_total", srv="none", ending="Quarantined", code="E900") == 1


def test_hostile_values_make_no_labels(observer) -> None:
    for number in range(1000):
        observer.processed([done(f"X{number}", f'11.6"{number}\n', Ending.QUARANTINED)], 0.1)
        observer.published(MessageKind.ALERT, f"N{number + 10_000}", PublishResult.CONFIRMED, [0.1])
        observer.retried(f"something {number}")
        observer.stepped(f"campaign {number}", 1)
    assert series(observer, "requests_total") == [{"srv": "other", "ending": "Quarantined", "code": "other"}]
    assert series(observer, "quarantined_total") == [{"code": "other"}]
    assert series(observer, "alerts_published_total") == [{"code": "other"}]
    assert series(observer, "retries_total") == [{"what": "other"}]
    assert value(observer, "clock_steps_total") == 1000


def test_labels_are_bounded_by_the_catalogue(observer) -> None:
    observer.processed([done(srv=str(srv)) for srv in SRV], 1)
    assert len(series(observer, "requests_total")) == len(SRV)


def test_alerts_are_counted_by_code_once_they_are_confirmed(observer) -> None:
    observer.published(MessageKind.ALERT, "N64", PublishResult.CONFIRMED, [1.5])
    observer.published(MessageKind.ALERT, "N64", PublishResult.FAILED, [9.0])
    observer.published(MessageKind.RESPONSE, "11.6", PublishResult.CONFIRMED, [0.5])
    observer.published(MessageKind.REPLY, "11.6", PublishResult.UNROUTABLE, [0.5])
    assert value(observer, "alerts_published_total", code="N64") == 1
    assert value(observer, "published_total", kind="alert", result="Failed") == 1
    assert value(observer, "published_total", kind="reply", result="Unroutable") == 1
    assert value(observer, "publish_age_seconds_sum", kind="alert") == pytest.approx(1.5)
    assert value(observer, "publish_age_seconds_count", kind="response") == 1


def test_a_clock_that_went_back_makes_no_negative_age(observer) -> None:
    observer.published(MessageKind.ALERT, "N64", PublishResult.CONFIRMED, [-3600])
    assert value(observer, "publish_age_seconds_sum", kind="alert") == 0


def test_retries_are_counted(observer) -> None:
    for what in ("receiving", "receiving", "clock"):
        observer.retried(what)
    assert value(observer, "retries_total", what="receiving") == 2
    assert value(observer, "retries_total", what="clock") == 1


def test_the_active_clock_shows(observer) -> None:
    observer.leads(leading=True)
    assert value(observer, "clock_active") == 1
    observer.leads(leading=False)
    assert value(observer, "clock_active") == 0


def test_loops_are_passed_on_to_health(observer, health) -> None:
    observer.came_round(Loop.CONSUMER)
    observer.waits(Loop.RELAY)
    assert set(health.live().checks) == {"event loop", "consumer", "relay"}


def test_depths_and_age_are_shown(observer) -> None:
    oldest = AT - timedelta(seconds=90)
    observer.depths(Depths(outbox=7, oldest=oldest, quarantined=2, campaigns={Stage.PILOT: 3}), AT)
    assert value(observer, "outbox_messages") == 7
    assert value(observer, "outbox_oldest_seconds") == 90
    assert value(observer, "quarantine_messages") == 2
    assert value(observer, "campaigns", stage="Pilot") == 3
    assert value(observer, "campaigns", stage="Complete") == 0
    observer.depths(Depths(outbox=0, oldest=None, quarantined=0, campaigns={}), AT)
    assert value(observer, "outbox_oldest_seconds") == 0
    assert value(observer, "campaigns", stage="Pilot") == 0


def test_what_nobody_could_look_up_is_no_number(observer) -> None:
    observer.depths(Depths(outbox=7, oldest=AT, quarantined=2, campaigns={}), AT)
    observer.depths(None, AT)
    assert math.isnan(value(observer, "outbox_messages"))


def test_a_queue_that_is_not_known_any_more_is_not_shown(observer) -> None:
    observer.queues({"chfw.requests": 5, "chfw.quarantine": 0})
    assert value(observer, "queue_messages", queue="chfw.requests") == 5
    observer.queues({"chfw.quarantine": 1})
    assert value(observer, "queue_messages", queue="chfw.requests") is None


def test_readiness_is_a_metric_too(observer, health) -> None:
    observer.probed({"database": OK, "consumer": "lost"})
    assert value(observer, "ready", check="database") == 1
    assert value(observer, "ready", check="consumer") == 0
    assert not health.ready().ok


def test_the_certificate_s_end_is_shown(observer) -> None:
    observer.expires(AT)
    assert value(observer, "signing_certificate_expires_timestamp_seconds") == AT.timestamp()


def test_steps_that_met_a_defect_are_counted(observer) -> None:
    observer.stalled("C-1")
    assert value(observer, "clock_defects_total") == 1


def test_two_observers_do_not_disturb_each_other(observer, health) -> None:
    other = PrometheusObserver(health)
    observer.stepped("c", 3)
    assert value(other, "clock_steps_total") == 0
