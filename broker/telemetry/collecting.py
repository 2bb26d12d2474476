"""Python's cyclic garbage collector in a process that makes many short-lived objects."""

import gc
from typing import Final

_YOUNG: Final = 50_000
"""New objects between two looks at the young ones; Python's 700 means one every few prompts."""
_OLDER: Final = 20


def collect_less() -> None:
    """Look for cycles less often, and never among what was there at the start.

    Records and their decisions hold no cycles: counting references frees them. Call it when
    everything is imported.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNG, _OLDER, _OLDER)
