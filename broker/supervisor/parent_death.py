"""A child ends with its parent, even when the parent was killed and could not say so.

Linux only (`prctl(2)`, PR_SET_PDEATHSIG). Elsewhere the variable is ignored and the supervisor's
own signals must do.
"""

import ctypes
import os
import signal
import sys

PARENT_VARIABLE = "WEIGHBRIDGE_PARENT_PID"
_PR_SET_PDEATHSIG = 1


def follow_parent(environ: dict[str, str] | os._Environ[str] = os.environ) -> None:
    """Ask the kernel to end this process when the supervisor that named itself here dies.

    The signal is SIGKILL: a supervisor that died without a word has left nobody to wait for a
    drain, and every promise holds through a kill.
    """
    # Taken out: what this process starts has another parent.
    parent = environ.pop(PARENT_VARIABLE, None)
    if parent is None or sys.platform != "linux":
        return
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG) failed")
    if os.getppid() != int(parent):
        # The parent died between our start and the call above.
        os._exit(1)
