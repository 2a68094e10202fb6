"""Figures for Prometheus: what the API counts itself, and what the hub's parts know, read when it is asked."""

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from madang.hub.trim import first_change
from madang.model.time import SECOND

if TYPE_CHECKING:
    from madang.hub.feed import Feed
    from madang.hub.hub import Hub

MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)


class Figures:
    """Counters of one app; each app has its own registry, so that tests may have several."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "madang_http_requests_total", "Requests answered", ["method", "route", "status"], registry=self.registry
        )
        self.seconds = Histogram(
            "madang_http_request_seconds", "Time to answer", ["route"], buckets=_BUCKETS, registry=self.registry
        )
        self.errors = Counter(
            "madang_http_unexpected_errors_total", "Requests that failed by our mistake", registry=self.registry
        )

    def add_hub(self, hub: "Hub", feed: "Feed") -> None:
        """Also tell what the hub knows."""
        self.registry.register(_HubCollector(hub, feed))

    def add_stats(self, name: str, stats: Callable[[], Mapping[str, float]]) -> None:
        """Also tell figures of another part, as gauges ``madang_<name>_<figure>``."""
        self.registry.register(_StatsCollector(name, stats))

    def render(self) -> bytes:
        """The text that Prometheus reads."""
        return generate_latest(self.registry)


class _HubCollector(Collector):
    def __init__(self, hub: "Hub", feed: "Feed") -> None:
        self._hub = hub
        self._feed = feed

    def collect(self) -> Iterable[Metric]:
        hub = self._hub
        for name, value in sorted(hub.store.stats().items()):
            yield GaugeMetricFamily(f"madang_store_{_safe(name)}", f"Store: {name}", value=value)
        for name, value in sorted(hub.flow.figures().items()):
            yield GaugeMetricFamily(f"madang_flow_{_safe(name)}", f"Detectors: {name}", value=value)
        yield CounterMetricFamily(
            "madang_ingest_messages", "Messages stored since the start", value=hub.ingest.messages
        )
        yield CounterMetricFamily(
            "madang_ingest_readings", "Readings stored since the start", value=hub.ingest.readings
        )
        yield GaugeMetricFamily("madang_ingest_in_flight", "Messages not yet durable", value=hub.ingest.in_flight())
        yield GaugeMetricFamily("madang_feed_listeners", "Open event streams", value=self._feed.listeners)
        yield CounterMetricFamily("madang_feed_batches", "Batches given to streams", value=self._feed.batches)
        yield CounterMetricFamily("madang_feed_resets", "Streams told to start over", value=self._feed.resets)
        with hub.store.read() as read:
            oldest, log_time = first_change(read), read.log_time()
        age_s = 0.0 if oldest is None else (log_time - oldest[1]) / SECOND
        yield GaugeMetricFamily("madang_log_age_seconds", "How far back the change log reaches", value=age_s)
        yield CounterMetricFamily("madang_log_trimmed", "Changes let go of since the start", value=hub.log_trim.trimmed)
        missing = sum(hub.words.missing.values())
        yield CounterMetricFamily("madang_words_missing", "Texts that no locale file has", value=missing)
        yield from self._sources()

    def _sources(self) -> Iterable[Metric]:
        sources = self._hub.sources
        families = {
            name: CounterMetricFamily(f"madang_source_{name}", f"Messages {name}, by source", labels=["source"])
            for name in ("accepted", "duplicates", "rejected")
        }
        silent = GaugeMetricFamily("madang_source_silent", "1: the source fell silent", labels=["source"])
        for source in sources.list():
            status = sources.status(source.id)
            for name, family in families.items():
                family.add_metric([source.id], getattr(status, name))
            silent.add_metric([source.id], 1.0 if sources.state(source.id) == "silent" else 0.0)
        yield from families.values()
        yield silent


class _StatsCollector(Collector):
    def __init__(self, name: str, stats: Callable[[], Mapping[str, float]]) -> None:
        self._name = name
        self._stats = stats

    def collect(self) -> Iterable[Metric]:
        for name, value in sorted(self._stats().items()):
            yield GaugeMetricFamily(f"madang_{_safe(self._name)}_{_safe(name)}", f"{self._name}: {name}", value=value)


def _safe(name: str) -> str:
    return "".join(c if c.isalnum() else "_" for c in name)
