"""Refuses, before any call, what cannot be asked of a served model; for every dialect."""

from collections.abc import Iterator
from contextlib import contextmanager

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


@contextmanager
def only_known_forms() -> Iterator[None]:
    """Around the mapping of a prompt to other names: a field of an odd form is refused.

    Fields that are only passed on are the provider's to judge.
    """
    try:
        yield
    except (AttributeError, KeyError, TypeError, ValueError):
        # Not chained: the foreign error may quote the prompt.
        raise CannotExpressError(
            "A field of the prompt has a form that cannot be told in the provider's words."
        ) from None
