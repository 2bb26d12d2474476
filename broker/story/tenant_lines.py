"""The tenants' ledger read once, from its newest totals to its present end."""

from collections.abc import Iterator

from broker.log.topic_names import TopicNames
from broker.records.errors import BadRecordError
from broker.records.tenants import EVERYONE, Line, Totals, decode_line, decode_totals
from broker.settings import Settings
from broker.story.log_reader import LogReader, Progress
from broker.story.spans import Span

Read = Totals | tuple[int, Line]
"""A tenant's totals, or a line of the ledger with its offset."""


def tenant_lines(
    settings: Settings, progress: Progress | None = None, *, tenant: str | None = None
) -> Iterator[Read | None]:
    """Each tenant's newest totals, then every line that they may not cover; None: not our form.

    With `tenant`, only its own, and the lines of no tenant. What is committed counts. Raises
    NotReadyError.
    """
    names = TopicNames(settings.kafka.prefix)
    key = None if tenant is None else tenant.encode("utf-8", "surrogatepass")
    with LogReader(settings) as reader:
        reader.require(names.tenants)
        newest: dict[str, Totals] = {}
        for batch in reader.read(reader.spans(names.tenant_totals), progress):
            for message in batch:
                try:
                    totals = decode_totals(message.value())
                except BadRecordError:
                    yield None
                else:
                    newest[totals.tenant] = totals
        covered = newest.pop(EVERYONE, None)
        first = 0 if covered is None else covered.offset
        yield from (one for one in newest.values() if tenant in (None, one.tenant))
        spans = [
            Span(one.topic, one.partition, max(one.start, min(first, one.end)), one.end)
            for one in reader.spans(names.tenants)
        ]
        for batch in reader.read(spans, progress):
            for message in batch:
                if key is not None and message.key() not in (None, key):
                    continue
                try:
                    yield message.offset(), decode_line(message.value())
                except BadRecordError:
                    yield None
