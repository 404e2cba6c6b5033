"""How cameras are shared out among processes and GPUs."""

from typing import Any

import pytest

from jetstream.config import load, parts
from jetstream.config.schema import Config


def config(cameras: int, **tables: Any) -> Config:
    return load.build(
        {"cameras": [{"name": f"c{n}", "source": "demo"} for n in range(cameras)], **tables}, where="test"
    )


def dealt(config: Config, count: int) -> list[tuple[int, list[str]]]:
    """GPU and cameras of each of `count` processes."""
    found = [parts.part(config, index, count) for index in range(count)]
    return [(one.gpu.device, [camera.name for camera in one.cameras]) for one in found]


def test_cameras_go_to_the_gpus_in_turn() -> None:
    two = config(5, gpu={"devices": [3, 1]})

    assert parts.gpu_parts(two) == parts.detect_parts(two) == 2
    assert dealt(two, 2) == [(3, ["c0", "c2", "c4"]), (1, ["c1", "c3"])]
    assert [parts.of_camera(two, camera).gpu.device for camera in two.cameras] == [3, 1, 3, 1, 3]


@pytest.mark.parametrize("cameras", range(1, 12))
@pytest.mark.parametrize("processes", [1, 2, 3])
def test_every_stage_has_a_camera_on_the_same_gpu(cameras: int, processes: int) -> None:
    three = config(cameras, gpu={"devices": [0, 4, 2]}, detect={"processes": processes})
    of_camera = {camera.name: parts.of_camera(three, camera).gpu.device for camera in three.cameras}

    for count in (parts.gpu_parts(three), parts.detect_parts(three)):
        found = dealt(three, count)
        assert {name: device for device, names in found for name in names} == of_camera
        assert sorted(name for _, names in found for name in names) == sorted(of_camera)
        assert max(len(names) for _, names in found) - min(len(names) for _, names in found) <= 1


def test_part_knows_one_gpu_alone() -> None:
    two = config(4, gpu={"devices": [0, 1]}, detect={"processes": 2})

    for index in range(4):
        own = parts.part(two, index, 4)
        assert parts.devices(own) == (index % 2,)
        assert parts.of_camera(own, own.cameras[0]) == own


def test_without_devices_there_is_one_process_on_the_one_gpu() -> None:
    one = config(3, gpu={"device": 2})

    assert parts.gpu_parts(one) == parts.detect_parts(one) == 1
    assert dealt(one, 1) == [(2, ["c0", "c1", "c2"])]
    assert parts.of_networks(one) == (one,)
    assert parts.detect_parts(config(3, detect={"processes": 2})) == 2
    assert parts.detect_parts(config(1, detect={"processes": 2})) == 1


def test_networks_are_opened_by_commands_and_by_each_part() -> None:
    two = config(3, gpu={"devices": [0, 1], "device": 1})

    found = [(one.gpu.device, len(one.cameras), one.gpu.devices) for one in parts.of_networks(two)]
    assert found == [(1, 3, ()), (0, 2, ()), (1, 1, ())]


@pytest.mark.parametrize(
    ("cameras", "apart", "numbers", "processes"),
    [
        *((1, 1, [], 1), (25, 25, [], 1), (26, 26, [], 2), (100, 100, [], 4), (100, 20, [], 1), (8, 0, [], 1)),
        *((100, 100, [0, 1], 4), (60, 60, [0, 1], 4), (2, 2, [0, 1, 2], 2)),
    ],
)
def test_decoders_of_many_cameras_are_in_several_processes_each_of_one_gpu(
    cameras: int, apart: int, numbers: list[int], processes: int
) -> None:
    """Whose number is a multiple of that of the GPUs, so that a camera is decoded where it is searched."""
    named = [
        {"name": f"c{i}", "source": "rtsp://192.0.2.1/", "decoder": "shared-cuda" if i < apart else "cpu"}
        for i in range(cameras)
    ]
    gpu = {"devices": numbers} if numbers else {}
    many = load.build({"cameras": named, "gpu": gpu}, where="test")

    count = parts.decode_parts(many)

    assert count == processes
    for index in range(count):
        own = parts.part(many, index, count)
        assert all(parts.of_camera(many, camera).gpu.device == own.gpu.device for camera in own.cameras)
