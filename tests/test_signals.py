"""Whether a hang-up means the end of a run, or a config to read anew."""

import os
import pty
import subprocess
import sys

from tests.test_service import REPOSITORY

ASK = "from jetstream.signals import has_terminal; print(has_terminal())"


def test_a_service_has_no_terminal() -> None:
    asked = subprocess.run([sys.executable, "-c", ASK], start_new_session=True, cwd=REPOSITORY, capture_output=True)

    assert asked.stdout == b"False\n"


def test_a_shells_command_has_one() -> None:
    pid, terminal = pty.fork()
    if pid == 0:  # the child; nothing of this test goes on in it
        os.chdir(REPOSITORY)
        os.execv(sys.executable, [sys.executable, "-c", ASK])
    told = os.read(terminal, 100)
    os.waitpid(pid, 0)
    os.close(terminal)

    assert told.strip() == b"True"
