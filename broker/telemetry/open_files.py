"""How many files, and so connections, this process may have open."""

import resource
from typing import Final

MOST_FILES: Final = 65_536


def allow_connections() -> int:
    """Raise the soft limit as far as may be; returns how many files may be open now.

    Each call under way holds a connection, and many systems allow but 1,024 at first. Children
    inherit it.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return MOST_FILES
    most = MOST_FILES if hard == resource.RLIM_INFINITY else min(hard, MOST_FILES)
    if soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    return max(soft, most)
