"""Refuses, before any call, what a served model cannot do by its settings; for every dialect."""

from broker.core.needs import NEEDS, needs_of
from broker.records.work import Work
from broker.settings.providers import ServedModel
from workers.providers.dialect import CannotExpressError


def refuse_what_it_lacks(work: Work, served: ServedModel) -> None:
    """Raise CannotExpressError when the prompt needs something that the model lacks."""
    if not served.lacks:
        return
    missing = needs_of(work.fields, work.kind) & served.lacks
    if missing:
        named = " and ".join(NEEDS[word] for word in sorted(missing))
        raise CannotExpressError(
            f"By its settings {served.name} knows no {named}, which the prompt asks for."
        )
