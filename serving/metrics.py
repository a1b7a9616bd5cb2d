"""What the server counts about itself, for Prometheus; no label ever holds an id."""

from bisect import bisect_left
from collections.abc import Collection, Iterator, Sequence
from itertools import accumulate
from typing import Final, TypeVar

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.core import HistogramMetricFamily
from prometheus_client.registry import Collector

M = TypeVar("M", bound=Collector)

_ROUTE_S: Final = (0.01, 0.05, 0.25)
"""Few: each costs a line for every route that was asked."""
_MODEL_S: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.25, 1)
_STORE_S: Final = (0.001, 0.01, 0.1)
_BATCH: Final = (1, 5, 20, 100, 500)
_AGE_S: Final = (60, 600, 3_600, 6 * 3_600, *(days * 86_400 for days in (1, 3, 7, 14, 30, 60, 90)))
_LAG_S: Final = (1, 5, 15, 60, 300, 900, 3_600, 6 * 3_600, 86_400, 7 * 86_400)
_QUALITY: Final = tuple(range(10, 100, 10))
_PROBABILITY: Final = tuple(n / 10 for n in range(1, 10))

_ESCAPED: Final = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})


class Distribution(Collector):
    """A histogram that takes many values at once, each at a fraction of the time that ``Histogram`` takes for one."""

    def __init__(self, name: str, text: str, labels: Sequence[str], *, bounds: Sequence[float]) -> None:
        self._name, self._text, self._labels = name, text, labels
        self._bounds = bounds
        self._les = [f'le="{bound}"' for bound in (*map(float, bounds), "+Inf")]
        self._counts: dict[tuple[str, ...], list[int]] = {}
        self._sums: dict[tuple[str, ...], float] = {}

    def observe(self, values: Collection[float], *labels: str) -> None:
        """Count values."""
        counts, bounds = self._counts.setdefault(labels, [0] * (len(self._bounds) + 1)), self._bounds
        for value in values:
            counts[bisect_left(bounds, value)] += 1
        self._sums[labels] = self._sums.get(labels, 0) + sum(values)

    def remove_by_labels(self, labels: dict[str, str]) -> None:
        """Forget what was counted under these values of some labels."""
        wanted = labels.items()
        for key in [one for one in self._counts if wanted <= dict(zip(self._labels, one, strict=True)).items()]:
            del self._counts[key], self._sums[key]

    def collect(self) -> Iterator[HistogramMetricFamily]:
        """See ``Collector``."""
        family = HistogramMetricFamily(self._name, self._text, labels=self._labels)
        bounds = [*(str(float(bound)) for bound in self._bounds), "+Inf"]
        for labels, counts in list(self._counts.items()):  # at once: this runs on a thread while others count
            buckets = list(zip(bounds, accumulate(counts), strict=True))
            family.add_metric(labels, buckets, self._sums.get(labels, 0))
        yield family

    def exposition(self) -> str:
        """The same in Prometheus' text format, at a tenth of the time that its client takes: most of a page is this."""
        shown = [line for labels in list(self._counts) for line in self._lines(labels)]
        return "\n".join([f"# HELP {self._name} {self._text}", f"# TYPE {self._name} histogram", *shown, ""])

    def _lines(self, labels: tuple[str, ...]) -> Iterator[str]:
        said = [f'{name}="{value.translate(_ESCAPED)}"' for name, value in zip(self._labels, labels, strict=True)]
        counts = self._counts[labels][:]
        for bound, count in zip(self._les, accumulate(counts), strict=True):
            yield f"{self._name}_bucket{{{','.join([bound, *said])}}} {count}.0"
        yield f"{self._name}_count{{{','.join(said)}}} {sum(counts)}.0"
        yield f"{self._name}_sum{{{','.join(said)}}} {float(self._sums.get(labels, 0))}"


class Metrics:
    """One app's metrics, in a registry of its own."""

    def __init__(self) -> None:
        disable_created_metrics()  # a series more for each counter, which nothing here reads
        self.registry = CollectorRegistry()
        self._plain = CollectorRegistry()
        self._distributions: list[Distribution] = []
        ProcessCollector(registry=self._plain)
        self.requests = self._counter("requests", "Requests answered.", "method", "route", "status")
        self.latency = self._distribution(
            "request_seconds",
            "Time to answer what was answered well; what was refused or failed is among the requests.",
            _ROUTE_S,
            *("method", "route"),
        )
        self.model_latency = self._distribution(
            "model_request_seconds",
            "The same, by the model that answered.",
            _MODEL_S,
            *("model", "version"),
        )
        self.batch_size = self._distribution(
            "batch_size",
            "Users or notes to score, events to ingest or rows to infer in a request.",
            _BATCH,
            "operation",
        )
        self.in_flight = self._gauge("in_flight_requests", "Requests under way.")
        self.overloads = self._counter("overloads", "Requests refused because too many were under way.")
        self.connections_refused = self._counter(
            "connections_refused", "Connections ended before a request was read, by why.", "reason"
        )
        self.rate_limited = self._counter("rate_limited", "Requests refused because their key asked too fast.")
        self.scores = self._counter("scores", "Users scored.", "model", "version", "status")
        self.probability = self._distribution(
            "churn_probability", "Churn probabilities answered.", _PROBABILITY, "model", "version", "horizon_days"
        )
        self.feature_age = self._distribution(
            "feature_age_seconds", "How long before its score a scored user's latest known event was.", _AGE_S
        )
        self.notes_scored = self._counter(
            "notes_scored", "Notes answered, by decision or why there is none.", "model", "version", "outcome"
        )
        self.quality = self._distribution(
            "note_quality", "Quality scores answered, 0 to 100.", _QUALITY, "model", "version"
        )
        self.notes_waiting = self._gauge("notes_waiting", "Notes waiting for their scores or being scored.")
        self.notes_stored = self._gauge("notes_stored", "Notes stored, as last counted.")
        self.recommended = self._counter(
            "recommended", "Notes recommended, by what found them and whether the feed explores.",
            *("model", "version", "source", "arm"),
        )  # fmt: skip
        self.recommendations_dropped = self._counter(
            "recommendations_dropped", "Notes recommended that are not on record: the log could not be written."
        )
        self.catalogue_notes = self._gauge("catalogue_notes", "Notes that the recommender knows of.")
        self.events = self._counter("ingest_events", "Events received, by what became of them.", "result")
        self.ingest_lag = self._distribution(
            "ingest_lag_seconds", "How long after it occurred a stored event was received.", _LAG_S
        )
        self.fold_failures = self._counter("fold_failures", "Batches stored, but not yet in the states.")
        self.unfolded = self._gauge("unfolded_facts", "Facts in the journal not yet known to be in the states.")
        self.pending_erasures = self._gauge("pending_erasures", "Users whose erasure is not complete yet.")
        self.store = self._distribution("store_seconds", "Time a store took.", _STORE_S, "store")
        self.store_failures = self._counter("store_failures", "Store operations that failed.", "store", "operation")
        self._add_slots()
        self._add_policies()
        self._add_jobs()

    def _add_jobs(self) -> None:
        self.background_failures = self._counter(
            "background_failures", "Rounds of background jobs, or items in them, that failed.", "job"
        )
        self.oldest_waiting = self._gauge(
            "oldest_waiting_seconds", "How long the first item waits that a background job is to do.", "job"
        )
        self.background_last_success = self._gauge(
            "background_last_success_seconds", "When a job's last round was complete, in Unix time.", "job"
        )
        self.background_stalled = self._gauge(
            "background_stalled", "1 while no round of a job is complete for longer than two may take.", "job"
        )

    def _add_policies(self) -> None:
        self.policy_live = self._gauge("policy_live", "1 for the policy in a role.", "role", "version")
        self.policy_refused = self._gauge("policy_refused", "1 while a role's policy can't be read.", "role")
        self.policy_shadow = self._counter(
            "policy_shadow",
            "Users and notes that the shadow was asked about too, by what came out: same or differs.",
            "what",
            "outcome",
        )

        self.reviews_decided = self._counter("reviews_decided", "Reviews that people decided.", "origin", "outcome")

        self.callbacks = self._counter(
            "callbacks", "Attempts to tell the community a decision: taken, failed, or dead with the last.", "outcome"
        )
        for outcome in ("taken", "failed", "dead"):
            self.callbacks.labels(outcome)  # from zero: a rate needs a value before the first

    def _add_slots(self) -> None:
        self.model_required = self._gauge(
            "model_required", "1 for a model that the server is not ready without.", "model"
        )
        self.slot_live = self._gauge("slot_live", "1 while a slot has a model.", "model", "role")
        self.slot_version = self._gauge("slot_version", "1 for the version in a slot.", "model", "role", "version")
        self.slot_refused = self._gauge("slot_refused", "1 while a slot's pointer leads nowhere good.", "model", "role")
        self.swaps = self._counter("model_swaps", "Models put into a slot.", "model", "role")
        self.refusals = self._counter("model_refusals", "Releases refused.", "model", "role")

    def forget(self, model: str, version: str) -> None:
        """Drop what was counted by a version: a server that lives through many releases keeps the last few."""
        counted = self.model_latency, self.scores, self.probability, self.notes_scored, self.quality, self.recommended
        for metric in counted:
            metric.remove_by_labels({"model": model, "version": version})

    def page(self) -> bytes:
        """All of it in Prometheus' text format."""
        return generate_latest(self._plain) + "".join(one.exposition() for one in self._distributions).encode()

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return self._kept(Counter(f"mingjian_{name}", text, labels, registry=self._plain))

    def _gauge(self, name: str, text: str, *labels: str) -> Gauge:
        return self._kept(Gauge(f"mingjian_{name}", text, labels, registry=self._plain))

    def _distribution(self, name: str, text: str, bounds: Sequence[float], *labels: str) -> Distribution:
        made = self._kept(Distribution(f"mingjian_{name}", text, labels, bounds=bounds))
        self._distributions.append(made)
        return made

    def _kept(self, metric: M) -> M:
        self.registry.register(metric)
        return metric
