"""A GPU that is lost, played by a backend that isn't here and by stages that fail on it: real processes, no GPU."""

import contextlib
import logging
import re
import subprocess
import sys
import threading
from pathlib import Path

import msgspec
import pytest

from jetstream import startup
from jetstream.config import load
from jetstream.config.schema import Config
from jetstream.errors import PipelineError
from jetstream.monitoring.status import statuses
from jetstream.pipeline import stage_named
from jetstream.runtime.child import StageProcess
from jetstream.runtime.supervisor import Supervisor
from tests.support.command import free_port
from tests.support.repository import REPOSITORY
from tests.support.statuses import frames_in
from tests.support.waiting import wait_until

pytestmark = pytest.mark.pipeline

LOST = """
import sys

if sys.orig_argv[1:3] == ["-m", "jetstream.runtime.worker"] and sys.orig_argv[4] == "detect":
    import os, time
    from contextlib import contextmanager
    from jetstream.networks import open as networks

    real = networks.open_detector

    class Hung:
        reads_in_place = gives_thumbnails = False
        gpu = None

        def submit(self, looks):
            time.sleep(600)

    @contextmanager
    def opened(config):
        if config.gpu.backend == "cpu":
            with real(config) as detector:
                yield detector
        else:
            {failure}

    networks.open_detector = opened
"""
"""sitecustomize of every Python that starts: `detect` fails unless it runs on the CPU"""


@pytest.fixture
def lost(tmp_path: Path, models_dir: Path, no_gpu: None) -> Config:
    """A pipeline that was started on a GPU, which isn't there any more."""
    config = load.build(
        {
            "cameras": [{"name": "demo", "source": "demo", "loop": True}],
            "recognize": {"faces": "demo", "watch_s": 0},
            "models": {"dir": str(models_dir)},
            "publish": {"endpoint": f"tcp://127.0.0.1:{free_port()}"},
            "metrics": {"enabled": False},
            "web": {"enabled": False},
            "render": {"window": False},
            "pipeline": {"run_dir": str(tmp_path / "run"), "heartbeat_timeout_s": 4.0},
            "gpu": {"when_lost": "cpu"},
            "sightings": {"dir": str(tmp_path / "sightings")},
        },
        where="test",
    )
    return on_gpu(startup.prepare(config))


def on_gpu(config: Config, **settings: str) -> Config:
    gpu = msgspec.structs.replace(config.gpu, backend="onnxruntime", **settings)
    return msgspec.structs.replace(config, gpu=gpu)


def run(config: Config) -> None:
    """Until a frame is tracked, or nothing can be."""
    ended = threading.Event()

    def is_tracked() -> bool:
        with contextlib.suppress(PipelineError):  # not yet, or not any more
            return frames_in(next(statuses(folder.path))).get("track", 0) > 0
        return False

    with startup.serve(config) as folder:
        supervisor = Supervisor(config, folder)

        def stop_in_time() -> None:
            try:
                wait_until(lambda: ended.is_set() or is_tracked())
            finally:
                supervisor.stop()

        watcher = threading.Thread(target=stop_in_time)
        watcher.start()
        try:
            supervisor.run()
        finally:
            ended.set()
            watcher.join()


def test_stages_go_on_on_the_cpu_when_told(lost: Config, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "jetstream")

    run(lost)

    assert sorted(without_gpu(caplog)) == ["detect", "recognize"]
    assert tracked_frames(caplog) > 0


@pytest.mark.parametrize(
    ("failure", "said"),
    [("os._exit(9)", "detect: ended with exit code 9"), ("yield Hung()", "detect: silent for")],
)
def test_stage_that_crashes_or_hangs_on_the_gpu_goes_on_on_the_cpu_when_told(
    lost: Config,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    failure: str,
    said: str,
) -> None:
    (tmp_path / "sitecustomize.py").write_text(LOST.format(failure=failure))
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:{REPOSITORY}")
    caplog.set_level(logging.INFO, "jetstream")

    run(lost)

    assert sorted(without_gpu(caplog)) == ["detect", "recognize"]
    assert caplog.text.count(said) == 2
    assert tracked_frames(caplog) > 0


def test_run_ends_when_it_is_not_told(lost: Config) -> None:
    with pytest.raises(PipelineError, match="can't continue"):
        run(on_gpu(lost, when_lost="restart"))


def without_gpu(caplog: pytest.LogCaptureFixture) -> list[str]:
    return re.findall(r"(\w+): .*it continues without the GPU", caplog.text)


def tracked_frames(caplog: pytest.LogCaptureFixture) -> int:
    return int(re.findall(r"(\d+) tracked", caplog.text)[0])


def test_only_short_lives_in_a_row_are_a_lost_gpu() -> None:
    child = StageProcess("detect", stage_named("detect"))

    def lives(started_s: float, beat_s: float | None) -> int:
        child.started_s, child.beat_s = started_s, beat_s
        child.failed(1e6, window_s=60.0)
        return child.failed_in_a_row

    assert lives(0, 3000) == 1
    assert lives(3001, 3005) == 2
    assert lives(3006, 4000) == 1, "it had lived long"
    assert lives(4001, None) == 2, "a hang at the start is no life, however long it took"


def test_process_that_cannot_be_killed_is_left_behind() -> None:
    class Unkillable(subprocess.Popen[bytes]):
        def kill(self) -> None:
            """As a process that hangs in a driver takes it."""

    popen = Unkillable([sys.executable, "-c", "import time; time.sleep(60)"])
    try:
        assert StageProcess("detect", stage_named("detect"), popen=popen).kill() == -9
    finally:
        popen.terminate()
        popen.wait()
