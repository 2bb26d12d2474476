"""What a prompt of a tenant with limits used beyond its charge, as a line of the ledger. Pure.

It is written in the transaction that ends the prompt, so the ledger's sum is what was really used,
through any crash. The request itself stays counted, also when no provider was asked.
"""

from broker.log.units import Output
from broker.records.completion import Completion
from broker.records.tenants import Entry, encode_entry
from workers.job import Job


def corrections(job: Job, completion: Completion, topic: str) -> tuple[Output, ...]:
    """The line for the ledger `topic`; none for a tenant without limits or a right charge.

    What no provider was asked for used nothing. Where a call's cost is not known the charge stays.
    """
    charged = job.work.charged
    if charged is None:
        return ()
    used, usd = 0, 0.0
    if job.calls:
        used = completion.input_tokens + completion.output_tokens
        usd = charged.usd if completion.cost_usd is None else completion.cost_usd
    tokens, dollars = used - charged.tokens, round(usd - charged.usd, 9)
    if not tokens and not dollars:
        return ()
    entry = Entry(
        job.work.tenant,
        "correction",
        charged.partition,
        charged.at,
        0.0,
        tokens,
        dollars,
        job.work.id,
    )
    return (Output(topic, 0, job.work.tenant.encode(), encode_entry(entry)),)
