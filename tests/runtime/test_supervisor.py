"""What the supervisor does with its processes. Real ones, with real heartbeats, that stand in for the stages: each
beats until it is told to end, or does what the test says."""

import contextlib
import json
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from jetstream.config import load
from jetstream.config.schema import Config
from jetstream.runtime import child
from jetstream.runtime.reload import RELOADED, Reloader
from jetstream.runtime.run_dir import RunDir, claim
from jetstream.runtime.supervisor import Supervisor
from tests.support.fulldisk import files_of_at_most
from tests.support.repository import REPOSITORY
from tests.support.waiting import PATIENCE_S

STAND_IN = f"""#!{sys.executable}
import json, os, signal, sys, time
from pathlib import Path
sys.path.insert(0, {str(REPOSITORY)!r})
import msgspec, zmq
from jetstream.ipc.bus import endpoint
from jetstream.messages import Heartbeat

run_dir, name = Path(sys.argv[3]), sys.argv[4]
does = json.loads(os.environ["STAND_INS"]).get(name, "")
for signum in (signal.SIGUSR1, signal.SIGUSR2):
    signal.signal(signum, lambda *_: sys.exit(0))
if does == "can't start":
    sys.exit(2)
socket = zmq.Context.instance().socket(zmq.PUSH)
socket.connect(endpoint(run_dir, Heartbeat, "supervisor"))
beat = Heartbeat(name, os.getpid(), 0, 0.0, 0.0, 0.0, {{}}, {{}})
ends_s = time.monotonic() + 0.5
while os.getppid() == int(sys.argv[5]) and not (does == "ends" and time.monotonic() > ends_s):
    if does != "hangs":
        socket.send(msgspec.msgpack.encode(beat))
    time.sleep(0.05)
"""


@pytest.fixture
def run_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[RunDir]:
    """Claimed, for stand-ins."""
    python = tmp_path / "python"
    python.write_text(STAND_IN)
    python.chmod(0o700)
    monkeypatch.setattr(sys, "executable", str(python))
    with claim(tmp_path / "run") as claimed:
        yield claimed


@pytest.fixture
def does(monkeypatch: pytest.MonkeyPatch) -> Callable[[dict[str, str]], None]:
    def say(what: dict[str, str]) -> None:
        monkeypatch.setenv("STAND_INS", json.dumps(what))

    say({})
    return say


class At(logging.Handler):
    """When the log says so, does something, in the middle of the supervisor's turn."""

    def __init__(self, words: str, do: Callable[[], object]) -> None:
        super().__init__()
        self._words, self._do = words, do

    def emit(self, record: logging.LogRecord) -> None:
        if self._words in record.getMessage():
            self._do()

    def __enter__(self) -> None:
        logging.getLogger("jetstream").addHandler(self)

    def __exit__(self, *_: object) -> None:
        logging.getLogger("jetstream").removeHandler(self)


def config(*, without: tuple[str, ...] = (), window: bool = False, hold_s: float = 2.0) -> Config:
    tables = {
        "cameras": [{"name": "door", "source": "demo"}],
        "pipeline": {"without": list(without), "stop_timeout_s": 1.0},
        "render": {"window": window},
        "track": {"hold_s": hold_s},
    }
    return load.build(tables, where="test")


def kill(signum: signal.Signals) -> Callable[[], None]:
    return lambda: os.kill(os.getpid(), signum)


def seconds_of(supervisor: Supervisor, *, duration_s: float | None = None) -> float:
    """How long the run takes; one that doesn't end is stopped after PATIENCE_S."""
    begin_s = time.monotonic()
    stopper = threading.Timer(PATIENCE_S, kill(signal.SIGTERM))
    stopper.start()
    try:
        supervisor.run(duration_s=duration_s)
    finally:
        stopper.cancel()
    return time.monotonic() - begin_s


@pytest.mark.parametrize("how", ["can't start", "hangs"])
def test_nobody_waits_for_metrics_and_learn(
    how: str, run_dir: RunDir, does: Callable[..., None], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    does({"metrics": how, "learn": how})
    reloader = Reloader(lambda: config(hold_s=1.0), config(), lambda plan: None)

    with At("running: ", kill(signal.SIGHUP)):
        took_s = seconds_of(Supervisor(config(), run_dir, reloader), duration_s=1.0)

    assert took_s < PATIENCE_S
    running = next(line for line in caplog.messages if line.startswith("running: ")).split(": ")[1].split(", ")
    assert {"capture.door", "detect", "track", "recognize"} <= set(running) - {"metrics", "learn"} == set(running)
    assert "config reloaded: took track.hold_s (track started again)" in caplog.messages


def test_what_cannot_start_is_tried_again_less_and_less_often(
    run_dir: RunDir, does: Callable[..., None], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(child, "STUCK_PAUSE_S", 0.1)
    does({"metrics": "can't start"})

    seconds_of(Supervisor(config(), run_dir), duration_s=3.0)

    assert 3 <= caplog.messages.count("metrics: ended with exit code 2; starting it again") <= 7


def test_reload_on_a_full_disk_is_refused_and_can_be_asked_for_again(
    run_dir: RunDir, does: Callable[..., None], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    run_dir.write_config(config())
    reloader = Reloader(lambda: config(hold_s=1.0), config(), lambda plan: None)
    full = contextlib.ExitStack()

    def fill() -> None:
        full.enter_context(files_of_at_most(100))
        kill(signal.SIGHUP)()

    def make_room() -> None:
        full.close()
        assert run_dir.read_config() == config()
        kill(signal.SIGHUP)()

    with (
        full,
        At("running: ", fill),
        At("the config in use stays", make_room),
        At("config reloaded", kill(signal.SIGTERM)),
    ):
        took_s = seconds_of(Supervisor(config(), run_dir, reloader))

    assert took_s < PATIENCE_S
    path = run_dir.path / "config.json.new"
    refused = f"{path}: File too large; make room there, or set pipeline.run_dir to another folder"
    assert f"{refused}; the config in use stays" in caplog.messages
    assert "config reloaded: took track.hold_s (track started again)" in caplog.messages
    assert run_dir.read_config() == config(hold_s=1.0)
    assert run_dir.read_origins() == {"track.hold_s": RELOADED}


def test_only_the_camera_that_was_turned_is_opened_again(
    run_dir: RunDir, does: Callable[..., None], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    door, yard = ({"name": name, "source": "demo"} for name in ("door", "yard"))
    before, after = (load.build({"cameras": [door | turned, yard]}, where="test") for turned in ({}, {"rotate": 90}))
    supervisor = Supervisor(before, run_dir, Reloader(lambda: after, before, lambda plan: None))
    pids: dict[str, set[int]] = {}

    def look() -> None:
        for process in supervisor._children:
            if process.popen is not None:
                pids.setdefault(process.name, set()).add(process.popen.pid)

    def reload() -> None:
        look()
        kill(signal.SIGHUP)()

    with At("running: ", reload), At("config reloaded", look), At("ended: ", look):
        seconds_of(supervisor, duration_s=2.0)

    assert "config reloaded: took cameras.door.rotate (capture started again)" in caplog.messages
    assert [name for name, those in pids.items() if len(those) > 1] == ["capture.door"]


def test_run_whose_captures_are_run_by_hand_ends_with_their_frames(run_dir: RunDir, does: Callable[..., None]) -> None:
    """Nobody here sees the captures end: `metrics` and `learn` must be told all the same."""
    does(dict.fromkeys(("detect", "track", "recognize", "publish"), "ends"))

    assert seconds_of(Supervisor(config(without=("capture",)), run_dir)) < PATIENCE_S


@pytest.mark.parametrize("without", [(), ("capture",), ("capture", "detect")])
def test_closed_window_ends_the_run(without: tuple[str, ...], run_dir: RunDir, does: Callable[..., None]) -> None:
    does({"render": "ends"})

    assert seconds_of(Supervisor(config(without=without, window=True), run_dir)) < PATIENCE_S
