"""Engines that are built during a run, and taken over: real processes on a pretended GPU."""

import contextlib
import logging
import shutil
import threading
from collections.abc import Callable
from pathlib import Path

import msgspec
import psutil
import pytest

from jetstream import pipeline, startup
from jetstream.config import load
from jetstream.config.schema import Config
from jetstream.errors import PipelineError
from jetstream.messages import Status
from jetstream.monitoring import top
from jetstream.monitoring.status import statuses
from jetstream.runtime.supervisor import Supervisor
from tests.support import pretended_gpu
from tests.support.command import free_port
from tests.support.gpu import kept_engines, need
from tests.support.repository import REPOSITORY
from tests.support.statuses import frames_in, pids_in
from tests.support.waiting import wait_until

pytestmark = pytest.mark.pipeline

REAL_BUILD_S = 900.0
NETWORKS = ("pnet", "rnet", "onet", "sface")
CRASH = """
import os, signal, sys
if sys.orig_argv[1:3] == ["-m", "jetstream.runtime.worker"] and sys.orig_argv[4] == "detect":
    from jetstream.runners.tensorrt import bindings
    bindings.load = lambda: os.kill(os.getpid(), signal.SIGSEGV)
"""
"""sitecustomize: TensorRT crashes in `detect`"""


@pytest.fixture
def builds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """How the builds go, in words of `fake_build_process`."""
    (tmp_path / "sitecustomize.py").write_text(pretended_gpu.SITECUSTOMIZE)
    (tmp_path / "opened").mkdir()
    (tmp_path / "engines").mkdir()
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:{REPOSITORY}")
    monkeypatch.setenv(pretended_gpu.OPENED, str(tmp_path / "opened"))

    def behave(*how: str) -> None:
        monkeypatch.setenv(pretended_gpu.HOW, " ".join(("standin", *how)))
        pretended_gpu.install(monkeypatch.setattr)

    return behave


@pytest.fixture
def config(tmp_path: Path, models_dir: Path) -> Config:
    return load.build(
        {
            "cameras": [{"name": "demo", "source": "demo", "loop": True}],
            "recognize": {"faces": "demo", "watch_s": 0},
            "models": {"dir": str(models_dir)},
            "publish": {"endpoint": f"tcp://127.0.0.1:{free_port()}"},
            "metrics": {"enabled": False},
            "web": {"enabled": False},
            "render": {"window": False},
            "pipeline": {"run_dir": str(tmp_path / "run")},
            "gpu": {"engines_dir": str(tmp_path / "engines")},
            "sightings": {"enabled": False},
        },
        where="test",
    )


class Watched:
    """A pipeline that runs in another thread's sight."""

    def __init__(self, run_dir: Path) -> None:
        self._run_dir = run_dir

    def status(self) -> Status | None:
        with contextlib.suppress(PipelineError):  # not yet
            return next(statuses(self._run_dir))
        return None

    def until(self, is_so: Callable[[Status], object]) -> Status:
        found: list[Status] = []

        def look() -> bool:
            status = self.status()
            if status is not None and is_so(status):
                found.append(status)
            return bool(found)

        wait_until(look)
        return found[0]

    def more_frames(self, than: Status, count: int = 10) -> Status:
        return self.until(lambda now: frames_in(now).get("track", 0) > frames_in(than).get("track", 0) + count)


def watched_by(watch: Callable[[Watched], None], config: Config) -> None:
    """Run the pipeline until `watch` returns."""
    failures: list[BaseException] = []
    with startup.serve(config) as folder:
        supervisor = Supervisor(config, folder)

        def look() -> None:
            try:
                watch(Watched(folder.path))
            except BaseException as failure:
                failures.append(failure)
            finally:
                supervisor.stop()

        watcher = threading.Thread(target=look)
        watcher.start()
        try:
            supervisor.run()
        finally:
            watcher.join()
    for failure in failures:
        raise failure


def wait_for(what: Callable[[], list[psutil.Process]]) -> list[psutil.Process]:
    wait_until(what)
    return what()


def has_ended(process: psutil.Process) -> bool:
    with contextlib.suppress(psutil.NoSuchProcess):
        return process.status() == psutil.STATUS_ZOMBIE  # where nobody asks how an orphan ended
    return True


def state(status: Status, process: str) -> tuple[str, int] | None:
    return next(((one.state, one.restarts) for one in status.processes if one.process == process), None)


def test_pipeline_runs_while_engines_are_built_and_changes_over_to_them(
    builds: Callable[..., None], config: Config, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "jetstream")
    builds(*(f"{network}=build-wait" for network in NETWORKS))
    prepared = startup.prepare(config, for_supervisor=True)
    assert prepared.gpu.backend == "tensorrt"
    assert "pnet, rnet, onet, sface: the engines are built during the run; until then ONNX Runtime on the CPU" in (
        caplog.text
    )

    def watch(run: Watched) -> None:
        before = run.until(lambda now: "engines being built: pnet" in top.text(now, now.turn_ns))
        before = run.more_frames(before)
        assert not list((tmp_path / "engines").glob("*.engine"))
        assert not list((tmp_path / "opened").iterdir())
        (tmp_path / "engines" / "go").touch()
        changed = run.until(
            lambda now: all(
                pids_in(now)[name] != pids_in(before)[name] and state(now, name) == ("running", 0)
                for name in ("detect", "recognize")
            )
        )
        after = run.more_frames(changed, 30)
        opened = {int(path.name) for path in (tmp_path / "opened").iterdir()}
        assert opened == {pids_in(after)["detect"], pids_in(after)["recognize"]}
        assert state(after, "build") == ("done", 0)
        assert {pids_in(after)[name] == pids_in(before)[name] for name in ("capture.demo", "track")} == {True}
        assert "engines being built" not in top.text(after, after.turn_ns)

    watched_by(watch, prepared)
    for name in ("detect", "recognize"):
        assert f"{name}: changes over to the engines that were built" in caplog.messages


def test_all_engines_are_there_at_the_next_start_which_has_nothing_to_build(
    builds: Callable[..., None], config: Config, tmp_path: Path
) -> None:
    builds()
    assert startup.prepare(config).gpu.backend == "tensorrt"  # nobody else would build them
    assert len(list((tmp_path / "engines").glob("*.engine"))) == 4

    prepared = startup.prepare(config, for_supervisor=True)

    assert prepared.gpu.backend == "tensorrt"
    assert [row.name for row in pipeline.started(prepared) if row in pipeline.SIDECARS] == []


@pytest.mark.parametrize("pipeline", [{"pace": "every-frame"}, {"without": ["build"]}], ids=["every-frame", "without"])
def test_run_waits_for_its_engines_where_it_must_or_is_told(
    builds: Callable[..., None], config: Config, tmp_path: Path, pipeline: dict[str, object]
) -> None:
    builds()
    waiting = msgspec.structs.replace(config, pipeline=msgspec.structs.replace(config.pipeline, **pipeline))
    cameras = tuple(msgspec.structs.replace(camera, loop=False) for camera in config.cameras)

    startup.prepare(msgspec.structs.replace(waiting, cameras=cameras), for_supervisor=True)

    assert len(list((tmp_path / "engines").glob("*.engine"))) == 4


def test_killed_build_starts_again_and_the_pipeline_goes_on(
    builds: Callable[..., None], config: Config, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "jetstream")
    builds("pnet=build-wait")

    def watch(run: Watched) -> None:
        before = run.until(lambda now: "engines being built: pnet" in top.text(now, now.turn_ns))
        sidecar = psutil.Process(pids_in(before)["build"])
        child = wait_for(lambda: sidecar.children())[0]
        sidecar.kill()
        wait_until(lambda: has_ended(child))
        again = run.until(lambda now: state(now, "build") == ("running", 1) and run.more_frames(before))
        (tmp_path / "engines" / "go").touch()
        run.until(lambda now: pids_in(now)["detect"] != pids_in(again)["detect"] and state(now, "build") == ("done", 1))
        assert {one.restarts for one in run.more_frames(again, 60).processes if one.process != "build"} == {0}

    watched_by(watch, startup.prepare(config, for_supervisor=True))
    assert "build: ended by SIGKILL; starting it again" in caplog.messages


def test_stages_stay_where_no_engine_can_be_built(
    builds: Callable[..., None], config: Config, capfd: pytest.CaptureFixture[str]
) -> None:
    builds(*(f"{network}=build-exit" for network in NETWORKS))

    def watch(run: Watched) -> None:
        before = run.until(lambda now: frames_in(now).get("track", 0) > 0 and pids_in(now).get("recognize"))
        ended = run.until(lambda now: state(now, "build") == ("done", 0))
        after = run.more_frames(ended, 30)
        assert {pids_in(after)[name] == pids_in(before)[name] for name in ("detect", "recognize")} == {True}

    watched_by(watch, startup.prepare(config, for_supervisor=True))
    said = capfd.readouterr().err
    assert said.count("no TensorRT engine (TensorRT's process ended while building (exit code 3)); ONNX Runtime") == 4


def test_stage_whose_engine_crashes_goes_on_without_it(
    builds: Callable[..., None], config: Config, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "jetstream")
    (tmp_path / "sitecustomize.py").write_text(pretended_gpu.SITECUSTOMIZE + CRASH)
    builds()

    def watch(run: Watched) -> None:
        before = run.until(lambda now: frames_in(now).get("track", 0) > 0 and pids_in(now).get("recognize"))
        wait_until(lambda: "the new engines can't be opened" in caplog.text)
        after = run.until(lambda now: pids_in(now)["recognize"] != pids_in(before)["recognize"])
        assert pids_in(run.more_frames(after, 30))["detect"] == pids_in(before)["detect"]

    watched_by(watch, startup.prepare(config, for_supervisor=True))
    assert "detect: the new engines can't be opened (ended by SIGSEGV); it goes on without them" in caplog.messages


def test_run_that_ends_while_engines_are_built_leaves_no_process(
    builds: Callable[..., None], config: Config, caplog: pytest.LogCaptureFixture
) -> None:
    builds(*(f"{network}=build-hang" for network in NETWORKS))
    before = set(psutil.Process().children(recursive=True))

    def watch(run: Watched) -> None:
        run.until(lambda now: "engines being built" in top.text(now, now.turn_ns))

    watched_by(watch, startup.prepare(config, for_supervisor=True))
    wait_until(lambda: set(psutil.Process().children(recursive=True)) <= before)
    assert [line for line in caplog.messages if "kernels" not in line] == []


def test_each_process_changes_over_to_the_engines_of_its_own_gpu_and_comes_back_to_them(
    builds: Callable[..., None], config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(pretended_gpu.GPUS, "Big,Small")
    builds(*(f"{network}=build-wait" for network in NETWORKS))
    cameras = tuple(msgspec.structs.replace(config.cameras[0], name=name) for name in "abc")
    gpu = msgspec.structs.replace(config.gpu, devices=(0, 1))
    names = [f"{stage}.{number}" for stage in ("detect", "recognize") for number in (1, 2)]

    def gpus_of(status: Status) -> dict[str, str]:
        opened = {path.name: path.read_text() for path in (tmp_path / "opened").iterdir()}
        return {name: opened.get(str(pids_in(status)[name]), "none") for name in names}

    def watch(run: Watched) -> None:
        before = run.until(lambda now: "engines being built: pnet" in top.text(now, now.turn_ns))
        before = run.more_frames(before)
        assert set(gpus_of(before).values()) == {"none"}
        (tmp_path / "engines" / "go").touch()
        changed = run.until(
            lambda now: all(
                pids_in(now)[name] != pids_in(before)[name] and state(now, name) == ("running", 0) for name in names
            )
        )
        after = run.more_frames(changed, 30)
        assert gpus_of(after) == {"detect.1": "0", "detect.2": "1", "recognize.1": "0", "recognize.2": "1"}
        psutil.Process(pids_in(after)["detect.2"]).kill()
        again = run.more_frames(run.until(lambda now: state(now, "detect.2") == ("running", 1)), 30)
        assert gpus_of(again) == gpus_of(after)

    watched_by(watch, startup.prepare(msgspec.structs.replace(config, cameras=cameras, gpu=gpu), for_supervisor=True))
    engines = [path.name.partition("-")[0] for path in (tmp_path / "engines").glob("*.engine")]
    assert sorted(engines) == sorted(NETWORKS * 2)


def test_gpu_that_fails_leaves_its_cameras_to_the_cpu_and_the_others_on_their_gpu(
    builds: Callable[..., None],
    config: Config,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setenv(pretended_gpu.GPUS, "Big,Big")
    crash = CRASH.replace('== "detect"', '== "detect.2"')
    (tmp_path / "sitecustomize.py").write_text(pretended_gpu.SITECUSTOMIZE + crash)
    builds()
    cameras = tuple(msgspec.structs.replace(config.cameras[0], name=name) for name in "ab")
    gpu = msgspec.structs.replace(config.gpu, devices=(0, 1), when_lost="cpu")
    prepared = startup.prepare(msgspec.structs.replace(config, cameras=cameras, gpu=gpu))

    def watch(run: Watched) -> None:
        both = {"frames a", "frames b"}
        status = run.until(lambda now: any(both <= set(one.beat.counts) for one in now.processes if one.beat))
        opened = {path.name: path.read_text() for path in (tmp_path / "opened").iterdir()}
        found = {name: opened.get(str(pid)) for name, pid in pids_in(status).items() if str(pid) in opened}
        assert found == {"detect.1": "0", "recognize.1": "0", "recognize.2": "1"}
        assert {one.process: one.restarts for one in status.processes if one.restarts} == {"detect.2": 2}

    watched_by(watch, prepared)
    said = "detect.2: ended by SIGSEGV, the second failure; it continues without the GPU (gpu.when_lost)"
    assert [line for line in caplog.messages if "without the GPU" in line] == [said]


@pytest.mark.gpu
def test_real_engines_are_built_during_a_run_and_taken_over(
    config: Config, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Takes minutes, but for what a `timing.cache` in JETSTREAM_ENGINES saves."""
    need("tensorrt")
    caplog.set_level(logging.INFO, "jetstream")
    engines = tmp_path / "engines"
    engines.mkdir()
    with contextlib.suppress(FileNotFoundError):
        shutil.copy(kept_engines(tmp_path) / "timing.cache", engines)
    prepared = startup.prepare(config, for_supervisor=True)
    assert prepared.gpu.backend == "tensorrt"
    assert not list(engines.glob("*.engine"))

    def has_tensorrt(pid: int) -> bool:
        return "libnvinfer" in Path(f"/proc/{pid}/maps").read_text()

    def watch(run: Watched) -> None:
        before = run.until(lambda now: "engines being built" in top.text(now, now.turn_ns) and run.more_frames(now))
        assert not any(has_tensorrt(pids_in(before)[name]) for name in ("detect", "recognize"))
        wait_until(lambda: caplog.text.count("changes over to the engines that were built") == 2, REAL_BUILD_S)
        changed = run.until(
            lambda now: all(
                pids_in(now)[name] != pids_in(before)[name] and state(now, name) == ("running", 0)
                for name in ("detect", "recognize")
            )
        )
        after = run.more_frames(changed, 60)
        assert all(has_tensorrt(pids_in(after)[name]) for name in ("detect", "recognize"))
        assert state(after, "build") == ("done", 0)

    watched_by(watch, prepared)
    assert len(list(engines.glob("*.engine"))) == 4
