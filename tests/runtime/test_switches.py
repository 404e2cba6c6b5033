"""Recording off and faces hidden for one camera, while it runs; and back to what the config says, never below it."""

from pathlib import Path

import msgspec
import numpy as np
import pytest

from jetstream.config.schema import Config, RenderConfig, run_dir
from jetstream.runtime import switches
from jetstream.runtime.run_dir import SWITCHES, claim
from jetstream.runtime.switches import CameraSwitch, CameraSwitches
from jetstream.sightings.look_keeper import LookKeeper
from jetstream.stages.record import record
from jetstream.web.frames import NewestFrames
from tests.support.stage_messages import FACE, config_of, rings_for, tracked


@pytest.fixture(autouse=True)
def _always_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(switches, "LOOK_EVERY_S", 0.0)


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return config_of(
        tmp_path,
        "a",
        record={"dir": str(tmp_path / "rec")},
        pipeline={"run_dir": str(tmp_path)},
        mqtt={"enabled": True, "broker": "mqtt://h", "commands": True},
        sightings={"dir": str(tmp_path / "sightings")},
    )


def switch(config: Config, **given: bool) -> None:
    switches.write(run_dir(config) / SWITCHES, {"a": CameraSwitch(**given)})


def noise(config: Config, count: int) -> object:
    rings, rng = rings_for(config), np.random.default_rng(0)
    for _ in range(count):
        rings["a"].write(rng.integers(0, 255, (90, 160, 3), np.uint8))
    return rings


def test_recording_pauses_and_goes_on_in_a_new_file(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    def frames() -> object:
        yield from (tracked(i, FACE) for i in range(3))
        switch(config, record=False)
        yield from (tracked(i, FACE) for i in range(3, 6))
        monkeypatch.setattr("time.time", lambda: 2e9)  # a file's name has the second
        switch(config, record=True)
        yield from (tracked(i, FACE) for i in range(6, 8))

    done = list(record(frames(), noise(config, 8), config))  # type: ignore[arg-type]

    assert len(done) == 8, "each frame is answered, or it would wait"
    lines = [path.read_text().splitlines() for path in Path(config.record.dir).glob("*.jsonl")]
    numbers = sorted([msgspec.json.decode(line)["frame_id"] for line in some] for some in lines)
    assert [number for some in numbers for number in some] == [0, 1, 2, 6, 7]


def test_faces_are_hidden_in_every_picture_of_the_camera(config: Config) -> None:
    rings = noise(config, 1)
    face = tracked(0, msgspec.structs.replace(FACE, box=(20.0, 10.0, 100.0, 80.0)))
    shown, looks = NewestFrames(config, rings), LookKeeper(config, rings)  # type: ignore[arg-type]
    shown.put(face)
    before = shown.picture("a", 160)
    assert looks._may_show(FACE, "a")

    switch(config, blur=True)
    again = NewestFrames(config, rings)  # type: ignore[arg-type]
    again.put(face)
    hidden = again.picture("a", 160)

    assert before is not None
    assert hidden is not None
    assert len(hidden.jpeg) < 0.8 * len(before.jpeg), "noise that is blurred takes less"
    assert not looks._may_show(FACE, "a")
    assert CameraSwitches(config).blur("a", "none") == "all"
    assert CameraSwitches(config).blur("b", "unknown") == "unknown", "of other cameras as configured"


def test_switched_off_is_what_the_config_says_and_not_less(config: Config) -> None:
    switch(config, blur=False)

    assert CameraSwitches(config).blur("a", "all") == "all"
    assert CameraSwitches(config).blur("a", "unknown") == "unknown"


def test_without_commands_nothing_is_looked_at(config: Config) -> None:
    switch(config, record=False, blur=True)
    closed = msgspec.structs.replace(config, mqtt=msgspec.structs.replace(config.mqtt, commands=False))

    assert CameraSwitches(closed).of("a") == CameraSwitch()
    assert RenderConfig().blur == "none"


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"a": {"blur": 3}}', b"\xff"])
def test_damaged_file_is_as_configured(config: Config, content: bytes) -> None:
    (run_dir(config) / SWITCHES).write_bytes(content)

    assert CameraSwitches(config).of("a") == CameraSwitch()


def test_new_run_begins_as_configured(tmp_path: Path) -> None:
    with claim(tmp_path / "run") as folder:
        switches.write(folder.path / SWITCHES, {"a": CameraSwitch(record=False)})
        assert (folder.path / SWITCHES).stat().st_mode & 0o777 == 0o600

    assert not (tmp_path / "run" / SWITCHES).exists()
