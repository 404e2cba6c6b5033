"""What a process does that another one of jetstream started: it ends with that one."""

import ctypes
import signal

PR_SET_PDEATHSIG = 1  # prctl(2)


def die_with_parent() -> None:
    """The kernel ends this process with the one that started it, even when it hangs. What it writes bears it."""
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
