"""A histogram that takes many observations at once shows what prometheus-client's own would."""

import threading

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Histogram
from prometheus_client.exposition import generate_latest
from prometheus_client.openmetrics.exposition import generate_latest as open_metrics

from chfw_sr.telemetry.tallies import TalliedHistogram

BOUNDS = (0.5, 1, 30, 1800)
AMOUNTS = st.lists(st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0, 2.0, 1800.0, 1800.5, 4096.0]), max_size=20)


def shown(registry: CollectorRegistry) -> list[list[str]]:
    """What is exposed in either format, but for when counting began."""
    texts = [generate_latest(registry).decode(), open_metrics(registry).decode()]
    return [[line for line in text.splitlines() if "_created{" not in line] for text in texts]


@given(st.lists(st.tuples(st.sampled_from(["alert", "reply"]), AMOUNTS), max_size=5))
def test_it_shows_what_the_other_shows(batches):
    ours, theirs = CollectorRegistry(), CollectorRegistry()
    tallied = TalliedHistogram("ages", "How old.", "kind", buckets=BOUNDS, registry=ours)
    histogram = Histogram("ages", "How old.", ["kind"], buckets=BOUNDS, registry=theirs)
    for kind, amounts in batches:
        tallied.observe(kind, amounts)
        child = histogram.labels(kind)
        for amount in amounts:
            child.observe(amount)
    assert shown(ours) == shown(theirs)
    assert generate_latest(ours).count(b"_created{") == generate_latest(theirs).count(b"_created{")


def test_nothing_is_lost_between_threads():
    registry = CollectorRegistry()
    tallied = TalliedHistogram("ages", "How old.", "kind", buckets=BOUNDS, registry=registry)

    def observe() -> None:
        for _ in range(500):
            tallied.observe("alert", [0.25, 2.0, 2.0])

    threads = [threading.Thread(target=observe) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert registry.get_sample_value("ages_count", {"kind": "alert"}) == 6000
    assert registry.get_sample_value("ages_sum", {"kind": "alert"}) == 8500
