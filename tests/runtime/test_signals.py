"""Whether a hang-up means the end of a command, a config to reload, or nothing."""

import os
import pty
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from jetstream.runtime import signals
from tests.support.command import Command, free_port
from tests.support.repository import DEMO, REPOSITORY
from tests.support.waiting import PATIENCE_S, wait_until

ASK = "from jetstream.runtime.signals import has_terminal; print(has_terminal())"


def test_a_service_has_no_terminal() -> None:
    asked = subprocess.run([sys.executable, "-c", ASK], start_new_session=True, cwd=REPOSITORY, capture_output=True)

    assert asked.stdout == b"False\n"


def test_a_shells_command_has_one() -> None:
    with in_terminal("-c", ASK) as (_, terminal):
        said = os.read(terminal, 100)
        os.close(terminal)

    assert said.strip() == b"True"


def test_a_run_ends_when_its_terminal_hangs_up(tmp_path: Path, models_dir: Path) -> None:
    """One of a single process, to be quick."""
    jetstream = Command(tmp_path, models_dir)
    without = 'pipeline.without=["capture","detect","track","recognize","publish","learn"]'
    words = (
        "run",
        DEMO,
        "--headless",
        *jetstream.sets,
        "--set",
        without,
        "--set",
        f"sightings.dir={tmp_path / 'sightings'}",
    )
    with in_terminal("-m", "jetstream.cli", *words) as (pid, terminal):
        said = read_until(terminal, b"running: ")
        os.close(terminal)
        assert code_of(pid) in (0, 120), said  # 120: in order too, but Python's last words had nowhere to go


@pytest.mark.parametrize("by", ["nohup", "env"])
def test_a_command_started_by_nohup_outlives_the_logout(by: str, tmp_path: Path) -> None:
    """`subscribe` waits for ever, here for a topic that isn't there."""
    subscribe = [sys.executable, "-m", "jetstream.cli", "subscribe", f"tcp://127.0.0.1:{free_port()}"]
    with subprocess.Popen(
        [by, *subscribe], cwd=tmp_path, env=Command(tmp_path, tmp_path).environment, stderr=subprocess.DEVNULL
    ) as process:
        # in this order; with `nohup` it leaves SIGHUP as it is
        wait_until(lambda: catches(process.pid, signal.SIGTERM if by == "nohup" else signal.SIGHUP))
        process.send_signal(signal.SIGHUP)
        try:
            code = process.wait(1.0 if by == "nohup" else PATIENCE_S)
        except subprocess.TimeoutExpired:
            code = None
        process.terminate()

    assert code == (None if by == "nohup" else 128 + signal.SIGHUP)


@pytest.mark.parametrize("before", [signal.SIG_IGN, signal.SIG_DFL, signals.pass_over])
def test_a_hang_up_is_heard_unless_whoever_started_the_process_has_it_ignored(before: object) -> None:
    heard: list[str] = []
    outside = signal.signal(signal.SIGHUP, before)  # type: ignore[arg-type]
    try:
        with signals.handled(lambda: heard.append("stop"), lambda: heard.append("hung up")):
            os.kill(os.getpid(), signal.SIGHUP)
        assert signal.getsignal(signal.SIGHUP) is before
    finally:
        signal.signal(signal.SIGHUP, outside)

    assert heard == ([] if before is signal.SIG_IGN else ["hung up"])


@contextmanager
def in_terminal(*words: str) -> Iterator[tuple[int, int]]:
    """Python with these words, as the session of a terminal of its own: its pid, and the terminal's other end."""
    pid, terminal = pty.fork()
    if pid == 0:  # the child; nothing of this test goes on in it
        os.environ["PYTHONPATH"] = str(REPOSITORY)
        os.execv(sys.executable, [sys.executable, *words])
    try:
        yield pid, terminal
    finally:
        if code_of(pid, within_s=0.5) is None:
            os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def read_until(terminal: int, words: bytes) -> bytes:
    said, deadline_s = b"", time.monotonic() + PATIENCE_S
    while words not in said:
        assert select.select([terminal], [], [], max(deadline_s - time.monotonic(), 0.0))[0], said
        said += os.read(terminal, 4096)
    return said


def code_of(pid: int, within_s: float = PATIENCE_S) -> int | None:
    """With which a child ends; None: it goes on."""
    deadline_s = time.monotonic() + within_s
    while time.monotonic() < deadline_s:
        if (ended := os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)) is not None:
            return ended.si_status
        time.sleep(0.02)
    return None


def catches(pid: int, signum: signal.Signals) -> bool:
    """SigCgt of proc(5)."""
    status = Path(f"/proc/{pid}/status").read_text()
    (caught,) = (line.split()[1] for line in status.splitlines() if line.startswith("SigCgt"))
    return bool(int(caught, 16) >> (signum - 1) & 1)
