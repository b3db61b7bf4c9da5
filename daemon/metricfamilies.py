"""Samples as families of prometheus_client: a gauge, a counter, a histogram. Pure.

Naming: https://prometheus.io/docs/practices/naming/. Labels come from closed sets only.
"""

from collections.abc import Iterable, Sequence

from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric

from daemon.statistics import Histogram

Row = tuple[Sequence[str], float]
"""Label values and a value."""


def gauge(name: str, documentation: str, labels: Sequence[str], rows: Iterable[Row]) -> Metric:
    family = GaugeMetricFamily(name, documentation, labels=labels)
    for values, value in rows:
        family.add_metric(values, float(value))
    return family


def counter(name: str, documentation: str, labels: Sequence[str], rows: Iterable[Row]) -> Metric:
    """``name`` is without ``_total``, which the text format gets."""
    family = CounterMetricFamily(name, documentation, labels=labels)
    for values, value in rows:
        family.add_metric(values, float(value))
    return family


def histogram(
    name: str, documentation: str, labels: Sequence[str], rows: Iterable[tuple[Sequence[str], Histogram]]
) -> Metric:
    family = HistogramMetricFamily(name, documentation, labels=labels)
    for values, histogram in rows:
        buckets = [(str(bound), float(count)) for bound, count in zip(histogram.bounds, histogram.counts, strict=True)]
        family.add_metric(values, [*buckets, ("+Inf", float(histogram.total))], histogram.sum)
    return family
