"""Prompts, answers and keys never reach a log, whatever goes wrong."""

import logging
import random
from collections.abc import Iterator

import pytest
import structlog
from structlog.testing import LogCapture

from broker.core.breaker import BreakerRules
from tests.workers import local_provider as says
from tests.workers.building import on_loop, until, work
from tests.workers.test_answering import running
from workers.exchange import CallLimits

SECRETS = ("PROMPT-MARKER", "ANSWER-MARKER", "METADATA-MARKER", "sk-secret-marker", "REASON-MARKER")


@pytest.fixture
def lines() -> Iterator[LogCapture]:
    """Every line that the worker logs."""
    capture = LogCapture()
    structlog.configure(processors=[capture])
    yield capture
    structlog.reset_defaults()


def reason_marked(status: int) -> says.Reply:
    body = b'{"error": {"message": "REASON-MARKER: PROMPT-MARKER is bad", "type": "t"}}'
    return says.bytes_of(body, status)


def test_no_text_of_any_prompt_answer_or_key_is_logged(
    lines: LogCapture,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    caplog.set_level(logging.DEBUG)
    monkeypatch.setattr("broker.store.objects._FIRST_PAUSE_S", 0.001)

    def logged(event: str) -> bool:
        return any(line["event"] == event for line in lines.entries)

    async def main() -> None:
        drawn = random.Random(1)
        limits = CallLimits(connect=1.0, first_byte=0.3, between_bytes=0.3, total=1.0)
        never = BreakerRules(least=10**6, in_a_row=10**6)  # so that each of these is called
        replies: list[says.Reply] = [
            says.good("ANSWER-MARKER"),
            says.good("ANSWER-MARKER" * 2_000),
            says.bytes_of(b'{"choices": "ANSWER-MARKER"}'),
            says.bytes_of(b"ANSWER-MARKER"),
            *(reason_marked(status) for status in (400, 401, 429, 500, 503)),
            says.cut,
            says.cut_inside,
            says.silent(),
        ]
        async with running(
            limits=limits, breaker=never, max_record_bytes=9_000, store="file:///proc/no"
        ) as worker:
            headers = (("x", b"PROMPT-MARKER"),)
            for n in range(80):
                fields = {"metadata": {"k": "METADATA-MARKER"}, "odd": 1 if n % 9 else 1 << 70}
                given = work(f"p{n}", text="PROMPT-MARKER", fields=fields, headers=headers)
                worker.provider.replies[f"p{n}"] = drawn.sample(replies, 3)
                worker.read((n % 12, given))
            worker.read((0, None))
            worker.made.journal.refuses = True
            worker.read((0, work("last", text="PROMPT-MARKER")))
            await until(lambda: logged("journal_failed"))
            worker.made.journal.refuses = False
            worker.provider.replies["huge"] = [says.good("ANSWER-MARKER" * 2_000)]
            worker.read((0, work("huge", text="PROMPT-MARKER")))
            await until(lambda: len(worker.collector.committed) == 83)

    on_loop(main())
    for event in ("job_failed", "bad_work_record", "journal_failed", "store_failed"):
        assert logged(event)
    out, err = capfd.readouterr()
    everything = repr(lines.entries) + caplog.text + out + err
    for secret in SECRETS:
        assert secret not in everything
