"""Dialects by the name that the settings use."""

from collections.abc import Callable, Mapping
from typing import Final

from broker.records.errors import UsageError
from workers.providers.dialect import Adapter
from workers.providers.openai import OpenAI

DIALECTS: Final[Mapping[str, Callable[[], Adapter]]] = {"openai": OpenAI}


def adapter_for(dialect: str) -> Adapter:
    """A new adapter; raises UsageError for a dialect that does not exist."""
    try:
        return DIALECTS[dialect]()
    except KeyError:
        raise UsageError(
            f"There is no dialect {dialect!r}.", mend=f"Known are: {', '.join(DIALECTS)}."
        ) from None
