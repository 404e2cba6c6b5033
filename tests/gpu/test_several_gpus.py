"""A pipeline on two GPUs of one machine: real processes, engines and decoders.

Engines are built for minutes the first time; JETSTREAM_ENGINES keeps them.
"""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest

from jetstream.errors import SourceError
from jetstream.messages import Status
from jetstream.monitoring.nvml import Nvml
from jetstream.runners import cuda_driver
from jetstream.runners.base import UnavailableError
from jetstream.runtime.counters import counted
from jetstream.video import nvdec
from tests.support import gpu
from tests.support.clips import demo_clip
from tests.support.event_lines import lines_of
from tests.support.inside import Inside
from tests.support.repository import DEFAULT
from tests.support.statuses import pids_in
from tests.support.waiting import PATIENCE_S

pytestmark = [pytest.mark.gpu, pytest.mark.pipeline]

CAMERAS = [f"c{number}" for number in range(4)]
CLOCKS = ("captured_ns", "wall", "hops_ms")
CONTEXT_BYTES = 50 << 20
"""a process's context, engines and buffers take more"""
BUILDING_S = 1200.0


@pytest.fixture(scope="module", autouse=True)
def two() -> tuple[cuda_driver.GpuInfo, cuda_driver.GpuInfo]:
    gpu.need("tensorrt")
    try:
        there = cuda_driver.gpus()
    except UnavailableError as reason:
        pytest.skip(f"needs two GPUs: {reason}")
    if len(there) < 2:
        pytest.skip(f"needs two GPUs, and this machine has {len(there)}")
    return there[0], there[1]


@pytest.fixture
def settings(tmp_path: Path) -> list[str]:
    engines = gpu.kept_engines(tmp_path / "engines")
    words = (f"gpu.engines_dir={engines}", "gpu.backend=tensorrt", f"gpu.bindings={gpu.BINDINGS}")
    return [word for setting in words for word in ("--set", setting)]


def events_of(folder: Path) -> dict[str, list[str]]:
    """The lines of each camera's events without clocks."""
    return {
        path.name.partition("-")[0]: [
            json.dumps({key: value for key, value in event.items() if key not in CLOCKS}) for event in lines_of(path)
        ]
        for path in folder.glob("*.jsonl")
    }


def run(jetstream: Inside, *words: str) -> None:
    with (jetstream.folder / "output").open("w") as output:
        code = subprocess.run(
            [sys.executable, "-m", "jetstream.cli", "run", *words, *jetstream.sets],
            cwd=jetstream.folder,
            env=jetstream.environment,
            stdout=output,
            stderr=output,
            timeout=BUILDING_S,
            check=False,
        ).returncode
    assert code == 0, (jetstream.folder / "output").read_text()


def test_two_gpus_of_one_model_give_the_events_of_one(
    jetstream: Inside, tmp_path: Path, settings: list[str], two: tuple[cuda_driver.GpuInfo, cuda_driver.GpuInfo]
) -> None:
    if str(two[0]) != str(two[1]):
        pytest.skip(f"needs two GPUs of one model: {two[0]}; {two[1]}")
    clips = [demo_clip(tmp_path / f"clip{frames}.mp4", frames=frames) for frames in (30, 40)]
    sources = [word for clip in clips for word in ("--source", str(clip))]
    common = (DEFAULT, *sources, "--pace", "every-frame", "--headless", "--faces", "demo", *settings)

    run(jetstream, *common, "--record", "one", "--set", "gpu.device=0")
    run(jetstream, *common, "--record", "both", "--set", "gpu.devices=[0,1]")

    one, both = (events_of(tmp_path / folder) for folder in ("one", "both"))
    assert {name: len(lines) for name, lines in one.items()} == {"clip30": 30, "clip40": 40}
    assert both == one
    assert "Eileen Collins" in both["clip40"][-1]


def used_bytes() -> list[int]:
    """Memory in use of each GPU, by all programs."""
    return [use.used_bytes or 0 for use in Nvml().use()]


def tracked(status: Status) -> dict[str, int]:
    beats = [one.beat for one in status.processes if one.process == "track" and one.beat]
    return {camera: count for beat in beats for (camera,), count in counted(beat.counts, "frames")}


def have_more(cameras: Iterable[str], than: dict[str, int], status: Status) -> bool:
    return all(tracked(status).get(name, 0) >= than.get(name, 0) + 30 for name in cameras)


@pytest.mark.parametrize("decoder", ["cpu", "cuda", "shared-cuda"])
def test_both_gpus_work_live_and_a_killed_process_comes_back_to_its_own(
    jetstream: Inside, tmp_path: Path, settings: list[str], decoder: str
) -> None:
    if "cuda" in decoder:
        try:
            for number in (0, 1):
                nvdec.refuse_missing(number)
        except SourceError as reason:
            pytest.skip(str(reason))
    clip = demo_clip(tmp_path / "clip.mp4", frames=100)
    tables = [f'[[cameras]]\nname = "{name}"\nsource = "{clip}"\nloop = true\n' for name in CAMERAS]
    tables = [f'{table}decoder = "{decoder}"\n' for table in tables]
    (tmp_path / "two.toml").write_text("".join(tables) + '[recognize]\nfaces = "demo"\nwatch_s = 0\n')
    before = used_bytes()
    words = ("two.toml", "--headless", *settings, "--set", "gpu.devices=[0,1]", "--set", 'pipeline.without=["build"]')
    build(jetstream, *words)

    with jetstream.running(*words) as process:
        first = jetstream.wait(lambda status: set(tracked(status)) == set(CAMERAS), process)
        status = jetstream.wait(lambda now: have_more(CAMERAS, tracked(first), now), process)
        grown = [now - then for now, then in zip(used_bytes(), before, strict=True)]
        assert sum(more > CONTEXT_BYTES for more in grown) >= 2, grown
        on_gpu = [f"{stage}.{number}" for stage in ("detect", "recognize") for number in (1, 2)]
        pids = pids_in(status)
        assert all("libnvinfer" in Path(f"/proc/{pids[name]}/maps").read_text() for name in on_gpu)

        os.kill(pids["detect.2"], signal.SIGKILL)
        back = jetstream.wait(
            lambda now: (
                pids_in(now)["detect.2"] != pids["detect.2"] and all(one.state == "running" for one in now.processes)
            ),
            process,
        )
        after = jetstream.wait(lambda now: have_more(CAMERAS, tracked(back), now), process)
        assert {one.process: one.restarts for one in after.processes if one.restarts} == {"detect.2": 1}
        process.send_signal(signal.SIGINT)
        assert process.wait(PATIENCE_S) == 0

    warnings = [line for line in jetstream.log().splitlines() if " warning " in f" {line} "]
    assert [line for line in warnings if "detect.2: ended by SIGKILL" not in line] == []


def build(jetstream: Inside, config: str, *words: str) -> None:
    """The engines, before anything waits for the run."""
    settings = [word for word in words if word != "--headless"]
    result = jetstream("build", config, *settings, *jetstream.sets)
    assert result.returncode == 0, result.stderr
