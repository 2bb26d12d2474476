"""The work record of a prompt that has been weighed, let in and routed. Pure."""

from broker.classifier.door import Admitted
from broker.classifier.weighing import Weighed
from broker.records.prompt import Prompt
from broker.records.work import RouteStep, Work


def work_of(
    prompt: Prompt,
    weighed: Weighed,
    admitted: Admitted,
    step: RouteStep,
    *,
    apart: float | None = None,
) -> Work:
    """What `decide` writes and `broker.simulate` replays; `step` is the first of its route."""
    return Work(
        id=prompt.id,
        tenant=prompt.tenant,
        kind=prompt.kind,
        model=prompt.model,
        priority=prompt.priority,
        provider=prompt.provider,
        deadline=prompt.deadline,
        stream=prompt.stream,
        accepted_at=prompt.accepted_at,
        source=prompt.source,
        reply_partition=prompt.reply_partition,
        weight=weighed.weight,
        lane=weighed.lane,
        input_tokens=weighed.input_tokens,
        expected_output_tokens=weighed.output_tokens,
        attempt=0,
        route=(step,),
        fields=prompt.fields,
        metadata=prompt.metadata,
        headers=prompt.headers,
        weighed=weighed.words,
        not_before=admitted.not_before,
        charged=admitted.charged,
        apart=apart,
    )
