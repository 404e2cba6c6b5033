import contextlib
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from jetstream.config import load
from jetstream.errors import UserError
from jetstream.runtime import prestart

HANG_S = 120.0
ORPHAN = """
import os, sys
from pathlib import Path
from jetstream.runtime import prestart
print(prestart.spawn(Path(sys.argv[1]), "publish", held=True).pid, flush=True)
os._exit(0)
"""


def test_held_process_reads_no_config_before_it_is_released(tmp_path: Path) -> None:
    process = prestart.spawn(tmp_path / "nowhere", "publish", held=True)
    try:
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(3.0)  # unheld, it ends for want of a config
        prestart.release(process)
        assert process.wait(HANG_S) not in (0, -signal.SIGKILL)
    finally:
        process.kill()
        process.wait(HANG_S)


def test_held_process_ends_with_its_supervisor(tmp_path: Path) -> None:
    words = [sys.executable, "-c", ORPHAN, str(tmp_path)]
    pid = int(subprocess.run(words, capture_output=True, check=True, text=True, stdin=subprocess.DEVNULL).stdout)
    deadline_s = time.monotonic() + HANG_S
    while is_running(pid):
        assert time.monotonic() < deadline_s
        time.sleep(0.05)


def test_failed_check_leaves_no_held_process(tmp_path: Path) -> None:
    data = {"pipeline": {"run_dir": str(tmp_path)}, "cameras": [{"name": "one", "source": "demo"}]}
    config = load.build(data, where="test", overrides={"render": {"window": False}})
    with contextlib.suppress(UserError), prestart.held_processes(config) as held:
        processes = dict(held)
        raise UserError("no such file")
    assert set(processes) == {"capture.one", "detect", "track", "recognize", "publish", "sightings", "web"}
    assert [process.returncode for process in processes.values()] == [-signal.SIGKILL] * 7


def test_as_many_files_may_be_open_as_the_system_lets_it_ask_for() -> None:
    code = "import resource; from jetstream.runtime import prestart; prestart.allow_many_files(); "
    code += "print(*resource.getrlimit(resource.RLIMIT_NOFILE))"
    for limits, least in (("ulimit -S -n 300", 1024), ("ulimit -n 300", 300)):
        said = subprocess.run(
            ["sh", "-c", f'{limits}; exec "$0" -c "$1"', sys.executable, code],
            capture_output=True,
            check=True,
            text=True,
        )
        soft, hard = map(int, said.stdout.replace("unlimited", "-1").split())
        assert soft >= least or soft == -1
        assert soft == hard or soft == prestart.MOST_FILES


def is_running(pid: int) -> bool:
    try:
        return (Path("/proc") / str(pid) / "stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
