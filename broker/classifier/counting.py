"""What the classifier counts, gathered for a slice and told to Prometheus once."""

from collections import Counter

from broker.classifier.decide import Outcome
from broker.classifier.windows import Windows
from broker.telemetry.metrics import ClassifierMetrics


class Counting:
    """Counts of one process. Not thread-safe: of the event loop."""

    def __init__(self, metrics: ClassifierMetrics, windows: Windows) -> None:
        self._metrics = metrics
        self._windows = windows
        self._verdicts: Counter[str] = Counter()
        self._rejected: Counter[str] = Counter()
        self._routed: Counter[tuple[str, str, str]] = Counter()
        self._lost: Counter[tuple[str, str]] = Counter()
        self._tokens: Counter[str] = Counter()
        self._evicted = 0

    def decided(self, outcome: Outcome) -> None:
        """One decision. One made again after a rollback is not counted as another prompt."""
        if outcome.again:
            self._verdicts["again"] += 1
            return
        self._verdicts[outcome.verdict] += 1
        for note in outcome.candidates:
            lost = note.get("lost")
            if lost is not None:
                self._lost[note["provider"], lost] += 1
        if outcome.verdict == "routed":
            self._routed[outcome.provider, outcome.lane, outcome.reason] += 1
            self._tokens[outcome.how] += outcome.input_tokens
        elif outcome.verdict == "failed":
            self._rejected[outcome.code] += 1

    def slice_took(self, seconds: float) -> None:
        """A slice is decided: tell everything gathered."""
        metrics = self._metrics
        metrics.decide_seconds.observe(seconds)
        for verdict, count in self._verdicts.items():
            metrics.prompts.labels(verdict).inc(count)
        for code, count in self._rejected.items():
            metrics.rejected.labels(code).inc(count)
        for (provider, lane, reason), count in self._routed.items():
            metrics.routed.labels(provider, lane, reason).inc(count)
        for (provider, reason), count in self._lost.items():
            metrics.lost.labels(provider, reason).inc(count)
        for how, count in self._tokens.items():
            metrics.input_tokens.labels(how).inc(count)
        for counter in (self._verdicts, self._rejected, self._routed, self._lost, self._tokens):
            counter.clear()

    def rebalanced(self, event: str, partitions: int) -> None:
        """Partitions were `assigned`, `revoked` or `lost`."""
        self._metrics.rebalances.labels(event).inc(partitions)

    def rebuilt(self, seconds: float) -> None:
        """A window was filled."""
        self._metrics.rebuild_seconds.observe(seconds)

    def windows_are(self) -> None:
        """Take the windows' figures; now and then, as it walks over all of them."""
        self._metrics.dedupe_ids.set(self._windows.ids)
        evicted = self._windows.evicted_early
        self._metrics.dedupe_evicted.inc(max(0, evicted - self._evicted))
        self._evicted = evicted
