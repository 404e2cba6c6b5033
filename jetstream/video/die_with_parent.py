"""Executes a program that the kernel kills when its parent dies: `python die_with_parent.py PID PROGRAM WORDS...`.

Imports nothing of jetstream, so that it starts within some hundredths of a second. The end of the parent's thread
counts as the parent's death: start it from a thread that lives as long as the program.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1  # prctl(2); kept by execv


def main() -> None:
    parent, *command = sys.argv[1:]
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() == int(parent):  # else the parent died before prctl
        os.execv(command[0], command)


if __name__ == "__main__":
    main()
