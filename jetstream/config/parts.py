"""How the cameras are shared out among the processes of a stage and among the GPUs of `gpu.devices`.

They go to the GPUs in turn: with two GPUs the first, third and fifth camera to the first one. This is so for every
stage, so a camera is decoded, searched and named on one GPU. A process gets the config of its part, in which
`gpu.device` is its GPU and `gpu.devices` is empty: nothing that runs in a process knows of several.
"""

import math

import msgspec

from jetstream.config.schema import CameraConfig, Config, decodes_apart, may_be_encoded

CAMERAS_A_DECODE = 25
"""A process of `decode` has so many on a GPU: the interpreter's lock is held for about 0.6 ms a frame there, so that it
carries 1,400 frames a second"""

CAMERAS_AN_ENCODE = 3
"""A process of `encode` has so many: a frame of 1080p takes it 9 ms"""


def devices(config: Config) -> tuple[int, ...]:
    """The numbers of the GPUs, at least one."""
    return config.gpu.devices or (config.gpu.device,)


def gpu_parts(config: Config) -> int:
    """How many processes a stage has that has one for each GPU."""
    return min(len(devices(config)), len(config.cameras))


def decode_parts(config: Config) -> int:
    """How many processes `decode` has."""
    apart = sum(decodes_apart(camera, config) for camera in config.cameras)
    numbers = len(devices(config))
    return min(numbers * max(math.ceil(apart / (numbers * CAMERAS_A_DECODE)), 1), len(config.cameras))


def detect_parts(config: Config) -> int:
    """How many processes `detect` has."""
    return min(len(devices(config)) * config.detect.processes, len(config.cameras))


def encoded(config: Config) -> tuple[CameraConfig, ...]:
    """The cameras that `encode` serves."""
    if not config.clips.dir or config.pipeline.pace != "live":
        return ()
    return tuple(camera for camera in config.cameras if may_be_encoded(camera, config))


def encode_parts(config: Config) -> int:
    """How many processes `encode` has."""
    return max(math.ceil(len(encoded(config)) / CAMERAS_AN_ENCODE), 1)


def part(config: Config, index: int, count: int) -> Config:
    """The config of process `index` (from 0) of the `count` that share the cameras."""
    numbers = devices(config)
    gpu = msgspec.structs.replace(config.gpu, device=numbers[index % len(numbers)], devices=())
    return msgspec.structs.replace(config, cameras=config.cameras[index::count], gpu=gpu)


def of_camera(config: Config, camera: CameraConfig) -> Config:
    """The config of a process that has this camera alone."""
    return part(config, config.cameras.index(camera), len(config.cameras))


def alone(config: Config) -> Config:
    """The config of what runs in one process, such as a command: on `gpu.device`, with all cameras."""
    return msgspec.structs.replace(config, gpu=msgspec.structs.replace(config.gpu, devices=()))


def of_networks(config: Config) -> tuple[Config, ...]:
    """The configs under which networks are opened: that of commands, and those of the processes of the pipeline."""
    count = detect_parts(config)
    return (alone(config), *(part(config, index, count) for index in range(count) if count > 1))
