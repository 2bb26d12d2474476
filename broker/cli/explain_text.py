"""What would happen to a prompt that is not sent, for a person and for a program."""

from typing import TYPE_CHECKING, Any

from broker.cli.output import console, harmless
from broker.records.completion import Failure

if TYPE_CHECKING:
    from broker.classifier.at_the_door import AtDoor
    from broker.classifier.what_if import WhatIf


def as_object(found: "WhatIf") -> dict[str, Any]:
    """What `explain --text --json` prints.

    `provider` to `candidates` are the choice among the providers, which a prompt that the door
    refuses would not come to.
    """
    weighed, chosen, error = found.weighed, found.chosen, found.error
    return {
        "verdict": found.verdict,
        "error": None if error is None else error.as_json(),
        "tenant": found.prompt.tenant,
        "model": found.prompt.model,
        "input_tokens": weighed.input_tokens,
        "expected_output_tokens": weighed.output_tokens,
        "expected_by": weighed.words,
        "weight": weighed.weight,
        "lane": weighed.lane,
        "classifiers": found.classifiers,
        "door": [door.as_json() for door in found.doors],
        "policy": found.policy,
        "provider": getattr(chosen, "provider", None),
        "code": str(chosen.reason),
        "reason": chosen.sentence,
        "candidates": list(chosen.notes),
    }


def show_text(found: "WhatIf") -> None:
    """Weighed, let in or not, and routed, with all candidates."""
    from rich.text import Text

    from broker.cli.candidate_lines import candidate_table

    out, weighed, chosen = console(), found.weighed, found.chosen
    heavy = (
        f"weighed: {weighed.input_tokens:,} tokens in ({weighed.how}), "
        f"{weighed.output_tokens:,} expected out ({weighed.words}), "
        f"weight {weighed.weight:,}, lane {weighed.lane}"
    )
    if found.error is not None and found.is_late:
        out.print(Text(f"expired: {found.error.message} [{found.error.code}]"))
        return
    lines = [heavy, *_at_the_door(found)]
    provider = getattr(chosen, "provider", None)
    to = "nobody can take it" if provider is None else f"to {provider}"
    refused = bool(found.doors) and found.doors[0].verdict == "refused"
    were = "were it let in, " if refused else ""
    lines.append(f"{were}by {found.policy} {to}: {chosen.sentence} [{chosen.reason}]")
    for line in lines:
        out.print(Text(harmless(line)))
    if chosen.notes:
        out.print(candidate_table(chosen.notes))
    if found.silent:
        out.print(Text(f"No worker is heard of: {', '.join(found.silent)}."))
    if not found.classifiers:
        out.print(Text("No classifier runs now: it would wait in its topic for one."))


def _at_the_door(found: "WhatIf") -> list[str]:
    tenant = found.prompt.tenant
    if not found.doors:
        return [f"let in: {tenant} has no limits"]
    alike = len({door.verdict for door in found.doors}) == 1
    shown = found.doors[:1] if alike else found.doors
    whole = sum(door.partitions for door in found.doors)
    lines = []
    for door in shown:
        by = f" (by the classifier with {door.partitions} of {whole} partitions)"
        lines.append(f"{_told(door, found)}{'' if alike else by}")
    if found.unpriced:
        lines.append(f"No price of {found.prompt.model} is known: it counts no dollars.")
    return lines


def _told(door: "AtDoor", found: "WhatIf") -> str:
    said = door.said
    if isinstance(said, Failure):
        why = "" if said.not_routed is None else f" ({said.not_routed.reason})"
        return f"refused at the door: {said.message}{why} [{said.code}]"
    asked = ""
    if said.charged is not None:
        asked = (
            f": {found.prompt.tenant} would be charged 1 request, {said.charged.tokens:,} tokens"
        )
        if said.charged.usd:
            asked += f", {said.charged.usd:.6f} USD"
    if said.not_before is None:
        return f"let in{asked}"
    return (
        f"let in{asked}; over its rate, so it may not begin for {said.not_before - found.at:.1f} s"
    )
