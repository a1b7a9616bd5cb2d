"""What the server counts about itself, for Prometheus; no label ever holds an id."""

from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector

_LATENCY_S: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5)


class Metrics:
    """One app's metrics, in a registry of its own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self.requests = self._counter("requests", "Requests answered.", "method", "route", "status")
        self.latency = Histogram(
            "mingjian_request_seconds",
            "Time to answer, by how it ended: ok, refused (4xx) or failed (5xx).",
            ("method", "route", "outcome"),
            buckets=_LATENCY_S,
            registry=self.registry,
        )
        self.in_flight = self._gauge("in_flight_requests", "Requests under way.")
        self.overloads = self._counter("overloads", "Requests refused because too many were under way.")
        self.scores = self._counter("scores", "Users scored.", "model", "version", "status")
        self.events = self._counter("ingest_events", "Events received, by what became of them.", "result")
        self.fold_failures = self._counter("fold_failures", "Batches stored, but not yet in the states.")
        self.slot_live = self._gauge("slot_live", "1 while a slot has a model.", "model", "role")
        self.slot_refused = self._gauge("slot_refused", "1 while a slot's pointer leads nowhere good.", "model", "role")
        self.swaps = self._counter("model_swaps", "Models put into a slot.", "model", "role")
        self.refusals = self._counter("model_refusals", "Releases refused.", "model", "role")
        self.unfolded = self._gauge("unfolded_facts", "Facts in the journal not yet known to be in the states.")

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(f"mingjian_{name}", text, labels, registry=self.registry)

    def _gauge(self, name: str, text: str, *labels: str) -> Gauge:
        return Gauge(f"mingjian_{name}", text, labels, registry=self.registry)
