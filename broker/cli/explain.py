"""`weighbridge explain`: why a prompt went where it went, or where one would go now."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from broker.cli.options import AsJson, Config, Kafka, load
from broker.cli.output import console, harmless, reading_progress, write_json
from broker.records.errors import UsageError
from broker.records.prompt import Priority

if TYPE_CHECKING:
    from broker.classifier.what_if import WhatIf
    from broker.settings import Settings
    from broker.story.trace import Trace


def explain(
    identity: Annotated[
        str | None, typer.Argument(metavar="[ID]", help="The id of a prompt that was sent.")
    ] = None,
    *,
    text: Annotated[
        str | None, typer.Option(metavar="TEXT", help="Ask for a prompt that is not sent.")
    ] = None,
    tenant: Annotated[str | None, typer.Option(help="Whose it would be.")] = None,
    model: Annotated[str | None, typer.Option(help="A model of the settings.")] = None,
    priority: Annotated[Priority | None, typer.Option(help="How urgent it would be.")] = None,
    provider: Annotated[str | None, typer.Option(help="Only this provider may answer.")] = None,
    region: Annotated[
        list[str] | None, typer.Option(help="Only providers there; may be given again.")
    ] = None,
    max_cost_usd: Annotated[
        float | None, typer.Option(min=0.0, help="The most that it may cost.")
    ] = None,
    max_output_tokens: Annotated[
        int | None, typer.Option(min=1, help="Longest answer, in tokens.")
    ] = None,
    timeout: Annotated[
        float | None,
        typer.Option(min=0.0, help="Seconds after which an answer is of no use any more."),
    ] = None,
    config: Config = None,
    kafka: Kafka = None,
    as_json: AsJson = False,
) -> None:
    """Say why a prompt went to its provider, with each other one's time, price and why it lost.

    With an ID: every choice that was made for it, at first and at each move, as its work records
    tell. With --text: what would happen to such a prompt now, by the settings here and by what the
    workers say of themselves; nothing is sent, and tenants' limits are not looked at.

    Exit code 1 when no prompt has the id.
    """
    if (identity is None) == (text is None):
        raise UsageError(
            "There is nothing to explain." if text is None else "Both ID and --text are given.",
            mend="Give the ID of a prompt, or --text TEXT.",
        )
    settings = load(config, kafka)
    if identity is not None:
        _sent(settings, identity, as_json=as_json)
        return

    from broker.classifier.what_if import what_if

    fields = {
        "prompt": text,
        "tenant": tenant,
        "model": model,
        "priority": priority,
        "provider": provider,
        "regions": region,
        "max_cost_usd": max_cost_usd,
        "max_output_tokens": max_output_tokens,
        "timeout_s": timeout,
    }
    found = what_if(settings, {name: one for name, one in fields.items() if one is not None})
    if as_json:
        write_json(_as_json(found))
    else:
        _show(found)


def _sent(settings: "Settings", identity: str, *, as_json: bool) -> None:
    from broker.story.trace_run import run_trace

    with reading_progress() as progress:
        story = run_trace(settings, identity, progress=progress)
    if as_json:
        write_json({"id": story.id, "state": story.state, "choices": _choices(story)})
        return
    _show_story(story)


def _choices(story: "Trace") -> list[dict[str, Any]]:
    wanted = ("weighed", "routed", "moved")
    return [event.as_json() for event in story.events if event.name in wanted]


def _show_story(story: "Trace") -> None:
    from rich.text import Text

    from broker.cli.candidate_lines import candidate_table

    out = console()
    for choice in _choices(story):
        code = f" [{choice['code']}]" if choice.get("code") else ""
        out.print(Text(harmless(f"{choice['text']}{code}")))
        if choice.get("candidates"):
            out.print(candidate_table(choice["candidates"]))
    out.print(Text(f"{story.id}: {story.status or story.state}"))


def _as_json(found: "WhatIf") -> dict[str, Any]:
    weighed, chosen = found.weighed, found.chosen
    return {
        "tenant": found.prompt.tenant,
        "model": found.prompt.model,
        "input_tokens": weighed.input_tokens,
        "expected_output_tokens": weighed.output_tokens,
        "expected_by": weighed.words,
        "weight": weighed.weight,
        "lane": weighed.lane,
        "policy": found.policy,
        "provider": getattr(chosen, "provider", None),
        "code": str(chosen.reason),
        "reason": chosen.sentence,
        "candidates": list(chosen.notes),
    }


def _show(found: "WhatIf") -> None:
    from rich.text import Text

    from broker.cli.candidate_lines import candidate_table

    out, weighed, chosen = console(), found.weighed, found.chosen
    out.print(
        Text(
            f"weighed: {weighed.input_tokens:,} tokens in ({weighed.how}), "
            f"{weighed.output_tokens:,} expected out ({harmless(weighed.words)}), "
            f"weight {weighed.weight:,}, lane {weighed.lane}"
        )
    )
    provider = getattr(chosen, "provider", None)
    to = "nobody can take it" if provider is None else f"to {provider}"
    out.print(Text(harmless(f"by {found.policy} {to}: {chosen.sentence} [{chosen.reason}]")))
    out.print(candidate_table(chosen.notes))
