"""Becomes the given command, which the kernel kills when the process that asked for it dies.

Run as a script, `python follow_parent.py PARENT_PID COMMAND...`, before the command's own program:
what is asked of the kernel here (Linux's prctl(2), PR_SET_PDEATHSIG) stays through exec.
"""

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def main(parent: int, command: list[str]) -> None:
    """Exec the command; elsewhere than on Linux without the tie."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:
            # The parent died before the line above.
            sys.exit(1)
    os.execv(command[0], command)  # noqa: S606 - the command is the broker's own, without a shell


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
