"""The closed list of metrics. A name ends in its unit; there is no other place that makes one."""

from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.gc_collector import GCCollector
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector

SECONDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300)
TOKEN_SECONDS: Final = (0.002, 0.005, 0.01, 0.015, 0.02, 0.03, 0.05, 0.075, 0.1, 0.2, 0.5, 1)
RECORDS: Final = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000)


class _Common:
    """What both kinds of process count."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        GCCollector(registry=self.registry)
        self.transactions = self._counter(
            "weighbridge_transactions_total", "Transactions by how they ended.", "outcome"
        )
        self.transaction_seconds = self._histogram(
            "weighbridge_transaction_seconds", "From begin to the end of the commit.", SECONDS
        )
        self.transaction_records = self._histogram(
            "weighbridge_transaction_records", "Input records settled by a transaction.", RECORDS
        )
        self.writer_pending = self._gauge(
            "weighbridge_writer_pending_records", "Decisions waiting for their transaction."
        )
        self.writer_recoveries = self._counter(
            "weighbridge_writer_recoveries_total", "Times a producer was made anew, and why.", "why"
        )
        self.rebalances = self._counter(
            "weighbridge_rebalances_total", "Partitions assigned, revoked or lost.", "event"
        )
        self.settings_reloads = self._counter(
            "weighbridge_settings_reloads_total",
            "Times the settings file had changed: taken, same (no change here), wrong (not used).",
            "outcome",
        )

    def transaction_ended(self, outcome: str, seconds: float, units: int) -> None:
        """For the transactional writer: one transaction took so long and settled so many."""
        self.transactions.labels(outcome).inc()
        self.transaction_seconds.observe(seconds)
        self.transaction_records.observe(units)

    def writer_recovered(self, why: str) -> None:
        """For the transactional writer: it had to recover."""
        self.writer_recoveries.labels(why).inc()

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(name, text, labels, registry=self.registry)

    def _gauge(self, name: str, text: str, *labels: str) -> Gauge:
        return Gauge(name, text, labels, registry=self.registry)

    def _histogram(
        self, name: str, text: str, buckets: tuple[float, ...], *labels: str
    ) -> Histogram:
        return Histogram(name, text, labels, buckets=buckets, registry=self.registry)


class ClassifierMetrics(_Common):
    """What a classifier counts."""

    def __init__(self) -> None:
        super().__init__()
        self.prompts = self._counter(
            "weighbridge_prompts_total",
            "Prompts by verdict: routed, failed, expired, cancelled, duplicate, forwarded, again.",
            "verdict",
        )
        self.rejected = self._counter(
            "weighbridge_prompts_rejected_total", "Bad prompts by error code.", "code"
        )
        self.routed = self._counter(
            "weighbridge_prompts_routed_total",
            "Prompts by provider, lane and reason code.",
            "provider",
            "lane",
            "reason",
        )
        self.lost = self._counter(
            "weighbridge_candidates_lost_total",
            "Choices that a provider lost, by the code of why; nobody may have won one.",
            "provider",
            "reason",
        )
        self.input_tokens = self._counter(
            "weighbridge_prompt_input_tokens_total", "Input tokens counted or estimated.", "how"
        )
        self.answers_learned = self._counter(
            "weighbridge_answers_learned_total", "Answers whose length was learned."
        )
        self.tenants_learned = self._gauge(
            "weighbridge_learned_tenants", "Tenants, by model, whose answers are counted apart."
        )
        self.lane_bounds = self._gauge(
            "weighbridge_lane_bound_tokens",
            "Weight up to which a prompt is light, and from which it is heavy.",
            "bound",
        )
        self.lane_changes = self._counter(
            "weighbridge_lane_changes_total", "Changes of the lanes' thresholds."
        )
        self.decide_seconds = self._histogram(
            "weighbridge_decide_batch_seconds", "Time to decide one batch of prompts.", SECONDS
        )
        self.dedupe_ids = self._gauge(
            "weighbridge_dedupe_ids", "Ids remembered in the dedupe windows of this process."
        )
        self.dedupe_evicted = self._counter(
            "weighbridge_dedupe_evicted_total", "Ids forgotten inside the window for want of room."
        )
        self.rebuild_seconds = self._histogram(
            "weighbridge_dedupe_rebuild_seconds", "Time to rebuild one partition's window.", SECONDS
        )


class WorkerMetrics(_Common):
    """What a worker counts."""

    def __init__(self) -> None:
        super().__init__()
        self.calls = self._counter(
            "weighbridge_calls_total", "Provider calls by outcome and code.", "outcome", "code"
        )
        self.call_seconds = self._histogram(
            "weighbridge_call_seconds", "Duration of provider calls.", SECONDS, "lane"
        )
        self.first_token_seconds = self._histogram(
            "weighbridge_first_token_seconds", "From the call to its first byte.", SECONDS, "lane"
        )
        self.per_token_seconds = self._histogram(
            "weighbridge_per_token_seconds",
            "Time of each token after the first of a streamed answer.",
            TOKEN_SECONDS,
            "lane",
        )
        self.chunks = self._counter(
            "weighbridge_chunks_total",
            "Records of streamed answers: published, lost, or held while Kafka took none.",
            "fate",
        )
        self.queued_seconds = self._histogram(
            "weighbridge_queued_seconds", "From acceptance to the first call.", SECONDS, "lane"
        )
        self.completions = self._counter(
            "weighbridge_completions_total", "Completions by status and lane.", "status", "lane"
        )
        self.moves = self._counter(
            "weighbridge_moves_total", "Work moved to another provider.", "to", "reason"
        )
        self.not_moved = self._counter(
            "weighbridge_not_moved_total",
            "Work that ended here as no other provider could take it, by the code of why.",
            "reason",
        )
        self.retries = self._counter(
            "weighbridge_retries_total", "Calls retried in place, or denied by the budget.", "how"
        )
        self.in_flight = self._gauge(
            "weighbridge_in_flight_calls", "Provider calls under way.", "lane"
        )
        self.waiting = self._gauge(
            "weighbridge_waiting_records", "Work fetched and not started.", "lane"
        )
        self.oldest_wait_seconds = self._gauge(
            "weighbridge_oldest_wait_seconds",
            "Since the prompt that has waited longest here was accepted.",
            "lane",
        )
        self.breaker_open = self._gauge(
            "weighbridge_breaker_state", "0 closed, 1 half-open, 2 open."
        )
        self.concurrency_limit = self._gauge(
            "weighbridge_concurrency_limit_calls", "Calls that may be under way at once now."
        )
        self.provider_spent = self._counter(
            "weighbridge_provider_spent_total",
            "Times the provider was stopped because its quota or credit is used up.",
        )
        self.metadata_unreadable = self._counter(
            "weighbridge_commit_metadata_unreadable_total",
            "Commit metadata that could not be read, so its work counts as not done.",
        )
        self.bad_work = self._counter(
            "weighbridge_bad_work_records_total",
            "Work records that are not in the contract's form.",
        )
        self.credential_failures = self._counter(
            "weighbridge_credential_failures_total",
            "Tries to get a new token for the provider that failed; the old one may still live.",
        )
        self.tokens = self._counter(
            "weighbridge_tokens_total", "Tokens the provider counted.", "direction"
        )
