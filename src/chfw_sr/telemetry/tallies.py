"""A histogram that takes many observations at once.

That of prometheus-client takes a lock twice for each observation; of thousands of messages that were published together
most are of one age.
"""

import time
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate
from math import inf
from threading import Lock

from prometheus_client import CollectorRegistry
from prometheus_client.metrics_core import HistogramMetricFamily
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString


class TalliedHistogram(Collector):
    """A histogram with one label, as `prometheus_client.Histogram` shows it.

    Args:
        name: of the metric.
        text: what it is.
        label: its label's name.
        buckets: their upper bounds, in order.
        registry: where it is collected from.
    """

    def __init__(
        self, name: str, text: str, label: str, *, buckets: Sequence[float], registry: CollectorRegistry
    ) -> None:
        self._name, self._text, self._label = name, text, label
        self._bounds = (*map(float, buckets), inf)
        self._counts: dict[str, list[int]] = {}
        self._sums: dict[str, float] = {}
        self._created: dict[str, float] = {}
        self._lock = Lock()
        registry.register(self)

    def observe(self, value: str, amounts: Iterable[float]) -> None:
        """Take observations.

        Args:
            value: of the label.
            amounts: what was observed.
        """
        alike = Counter(amounts)
        with self._lock:
            if value not in self._counts:
                self._counts[value] = [0] * len(self._bounds)
                self._sums[value] = 0.0
                self._created[value] = time.time()
            counts = self._counts[value]
            for amount, times in alike.items():
                counts[bisect_left(self._bounds, amount)] += times
                self._sums[value] += amount * times

    def describe(self) -> Iterator[HistogramMetricFamily]:
        """Say what there is, without its numbers."""
        yield HistogramMetricFamily(self._name, self._text, labels=[self._label])

    def collect(self) -> Iterator[HistogramMetricFamily]:
        """Give the numbers."""
        family = HistogramMetricFamily(self._name, self._text, labels=[self._label])
        with self._lock:
            for value, counts in self._counts.items():
                buckets = zip(map(floatToGoString, self._bounds), accumulate(counts), strict=True)
                family.add_metric([value], list(buckets), self._sums[value])
                family.add_sample(f"{self._name}_created", {self._label: value}, self._created[value])
        yield family
