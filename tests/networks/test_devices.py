"""The GPUs of `gpu.devices`: those that are there, and those that aren't."""

from typing import Any

import msgspec
import pytest

from jetstream import doctor, startup
from jetstream.config import load
from jetstream.config.schema import CameraConfig, Config
from jetstream.errors import SourceError, UserError
from jetstream.networks import devices
from jetstream.runners import cuda_driver
from jetstream.runners.base import UnavailableError
from jetstream.video import source

DECODERS = ("cpu", "shared-cuda", "cuda")
BIG, SMALL = cuda_driver.GpuInfo("Big", "9.0", 2**36), cuda_driver.GpuInfo("Small", "8.6", 2**33)


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """With three GPUs, of two models."""
    monkeypatch.setattr(cuda_driver, "gpus", lambda: (BIG, SMALL, BIG))


def config(numbers: list[int], cameras: int = 4, **gpu: Any) -> Config:
    named = [{"name": f"c{n}", "source": "demo"} for n in range(cameras)]
    return load.build({"cameras": named, "gpu": {"devices": numbers, **gpu}}, where="test")


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records]


def test_gpus_that_are_there_are_taken_in_silence(machine: None, caplog: pytest.LogCaptureFixture) -> None:
    devices.check_devices(config([0, 1, 2]))
    devices.check_devices(config([]))

    assert caplog.records == []


@pytest.mark.parametrize("begin", [startup.prepare, lambda config: list(startup.check(config))])
def test_gpu_that_is_not_there_is_one_sentence_before_anything_starts(machine: None, begin: Any) -> None:
    with pytest.raises(UserError) as raised:
        begin(config([0, 3]))

    assert str(raised.value) == (
        "gpu.devices: there is no GPU 3: this machine has 3, numbered from 0; name those that `jetstream doctor` lists"
    )


def test_cpu_is_said_and_the_cameras_stay_shared(machine: None, caplog: pytest.LogCaptureFixture) -> None:
    devices.check_devices(config([0, 7], backend="cpu"))

    assert warnings(caplog) == [
        'gpu.devices: gpu.backend is "cpu", so the networks run on the CPU; 2 processes share the cameras all the same'
    ]


def test_machine_without_a_gpu_is_said(no_gpu: None, caplog: pytest.LogCaptureFixture) -> None:
    devices.check_devices(config([0, 1]))
    devices.check_devices(config([0, 1], backend="tensorrt"))  # refused with its backend

    (warning,) = warnings(caplog)
    assert warning.startswith("gpu.devices: ")
    assert warning.endswith(", so the networks run on the CPU; 2 processes share the cameras all the same")


def test_camera_is_looked_at_with_the_gpu_that_will_decode_it(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = {}

    def look(address: str, camera: CameraConfig, *, cuda_device: int | None) -> source.SourceProbe:
        asked[camera.name] = cuda_device
        raise SourceError(f"{camera.name}: no GPU decodes it here")

    monkeypatch.setattr(source, "probe", look)
    two = config([3, 1], cameras=3)
    cameras = [
        msgspec.structs.replace(camera, source="rtsp://192.0.2.1/", decoder=how)
        for camera, how in zip(two.cameras, DECODERS, strict=True)
    ]

    with pytest.raises(UserError, match="no GPU decodes it here"):
        list(startup.check_sources(msgspec.structs.replace(two, cameras=tuple(cameras))))

    assert asked == {"c0": None, "c1": None, "c2": 3}, "`decode` opens the GPU for all of its cameras at once"


def test_gpu_without_a_camera_is_said(machine: None, caplog: pytest.LogCaptureFixture) -> None:
    devices.check_devices(config([2, 1, 0], cameras=2))

    assert warnings(caplog) == ["gpu.devices: no camera is left for GPU 0"]


def test_gpus_are_told_apart_by_their_model(machine: None) -> None:
    assert dict(devices.models(config([2, 1, 0]))) == {str(BIG): (0, 2), str(SMALL): (1,)}
    assert devices.capabilities(config([2, 1, 0])) == ("9.0", "8.6")
    assert dict(devices.models(config([]))) == {str(BIG): (0,)}
    with pytest.raises(UnavailableError, match="there is no GPU 5"):
        devices.models(config([5]))


def test_doctor_says_which_gpus_are_used_and_which_is_missing(machine: None) -> None:
    def told(config: Config) -> dict[str, tuple[str, bool]]:
        return {fact.topic: (fact.found, fact.ok) for fact in doctor.examine(config).facts if "GPU" in fact.topic}

    several, one = told(config([0, 1, 5])), told(config([]))

    assert several == {
        "GPU 0": (f"{BIG}, 64 GiB, used", True),
        "GPU 1": (f"{SMALL}, 8 GiB, used", True),
        "GPU 2": (f"{BIG}, 64 GiB", True),
        "GPU 5": ("isn't there, and gpu.devices names it", False),
    }
    assert one["GPU 0"] == (f"{BIG}, 64 GiB, the one used", True)
