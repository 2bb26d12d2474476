"""`weighbridge explain`: why a prompt went where it went, or where one would go now."""

from typing import Annotated

import typer

from broker.cli.options import AsJson, Config, Kafka, load
from broker.cli.output import reading_progress, write_json
from broker.records.errors import UsageError
from broker.records.prompt import Priority


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

    With an ID: every choice that was made for it, at first and at each move, as its records tell;
    for one that nobody could take, or that its tenant's limits kept out, why. With --text: what
    would happen to such a prompt now, by the settings here, by what is used of its tenant's limits,
    and by what the workers say of themselves; nothing is sent and nothing is charged.

    Exit code 1 when no prompt has the id.
    """
    fields = {
        "tenant": tenant,
        "model": model,
        "priority": priority,
        "provider": provider,
        "regions": region,
        "max_cost_usd": max_cost_usd,
        "max_output_tokens": max_output_tokens,
        "timeout_s": timeout,
    }
    given = {name: one for name, one in fields.items() if one is not None}
    if (identity is None) == (text is None):
        raise UsageError(
            "There is nothing to explain." if text is None else "Both ID and --text are given.",
            mend="Give the ID of a prompt, or --text TEXT.",
        )
    if identity is not None and given:
        raise UsageError(
            f"--{_option(next(iter(given)))} is of a prompt that is not sent, and ID is of one "
            "that was.",
            mend="Give it together with --text TEXT.",
        )
    settings = load(config, kafka)
    if identity is not None:
        from broker.cli.explain_sent import choices_of, show_sent
        from broker.story.trace_run import run_trace

        with reading_progress() as progress:
            story = run_trace(settings, identity, progress=progress)
        if as_json:
            write_json(choices_of(story))
        else:
            show_sent(story)
        return

    from broker.classifier.what_if import what_if
    from broker.cli.explain_text import as_object, show_text
    from broker.story.tenant_lines import tenant_lines

    with reading_progress() as progress:
        found = what_if(
            settings,
            {"prompt": text, **given},
            lambda whose: tenant_lines(settings, progress, tenant=whose),
        )
    if as_json:
        write_json(as_object(found))
    else:
        show_text(found)


def _option(field: str) -> str:
    return {"regions": "region", "timeout_s": "timeout"}.get(field, field).replace("_", "-")
