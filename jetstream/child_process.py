"""A child process of jetstream ends with its parent."""

import ctypes
import signal

PR_SET_PDEATHSIG = 1  # prctl(2)


def die_with_parent() -> None:
    """Make the kernel send SIGKILL to this process when its parent ends, even when it hangs (PR_SET_PDEATHSIG).

    Files must survive that: write them with `files.replace`.
    """
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
