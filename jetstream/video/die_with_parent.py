"""Becomes another program that the kernel ends with whoever started it: `python tether.py PID PROGRAM WORDS...`.

Knows nothing of jetstream, so that it starts in a few hundredths of a second. A thread's end counts as its process's:
whoever starts it must be the thread that also ends it.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1  # prctl(2); it stays through execv


def main() -> None:
    parent, *command = sys.argv[1:]
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() == int(parent):  # else it was gone before the kernel knew
        os.execv(command[0], command)


if __name__ == "__main__":
    main()
