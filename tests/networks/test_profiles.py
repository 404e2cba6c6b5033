"""The sizes that engines are built for are the sizes that come."""

import numpy as np
import pytest

from jetstream.config.schema import CameraConfig, Config, DetectConfig, GpuConfig, RecognizeConfig
from jetstream.networks.profiles import batches, profiles_of
from jetstream.runners.tensorrt.engine_cache import fixed
from jetstream.vision.detection.proposals import CELL_PX, scales_of
from jetstream.vision.detection.pyramid import Pyramid


@pytest.mark.parametrize(
    ("most", "sizes"),
    [(1, (1,)), (2, (2,)), (3, (2, 3)), (32, (2, 8, 32)), (40, (2, 8, 32, 40)), (256, (2, 8, 32, 128, 256))],
)
def test_batches_grow_fourfold_up_to_the_most(most, sizes):
    assert batches(most) == sizes


def test_crops_have_three_fixed_batches_and_onet_a_quarter_of_rnets():
    config = Config(gpu=GpuConfig(batch=16))
    assert profiles_of("rnet", config) == tuple(fixed(count, 3, 24, 24) for count in (16, 64, 256))
    assert profiles_of("onet", config) == tuple(fixed(count, 3, 48, 48) for count in (4, 16, 64))


@pytest.mark.parametrize(("model", "network", "side_px"), [("sface", "sface", 112), ("dlib", "embedder", 150)])
def test_the_embedder_has_the_batches_of_recognize(model, network, side_px):
    config = Config(recognize=RecognizeConfig(batch=8, model=model))
    shapes = [profile.largest for profile in profiles_of(network, config)]
    assert shapes == [(2, 3, side_px, side_px), (8, 3, side_px, side_px)]


@pytest.mark.parametrize("min_face_px", [12.0, 20.0, 33.3, 40.0, 61.7, 200.0])
@pytest.mark.parametrize(("width", "height"), [(1920, 1080), (1279, 719), (641, 481), (100, 2000)])
def test_every_level_of_every_camera_fits_pnets_profile(width, height, min_face_px):
    config = Config(
        cameras=(CameraConfig(name="small", source="0", max_width=64, max_height=64), camera(width, height)),
        detect=DetectConfig(min_face_px=min_face_px),
    )
    (profile,) = profiles_of("pnet", config)
    picture = Pyramid(np.zeros((height, width, 3), np.uint8))
    for scale in scales_of(picture.height_px, picture.width_px, CELL_PX / min_face_px, 0.0, 0.709):
        level = (1, 3, *picture.level_shape(scale))
        assert all(
            low <= size <= high for low, size, high in zip(profile.smallest, level, profile.largest, strict=True)
        )
    assert profile.largest[2] <= height * CELL_PX / min_face_px + 2 or profile.largest[2] in (12, 64)


def test_cameras_of_different_shapes_share_one_profile():
    config = Config(cameras=(camera(1920, 1080), camera(1080, 1920)), detect=DetectConfig(min_face_px=12))
    assert profiles_of("pnet", config)[0].largest == (1, 3, 1921, 1921)


def test_a_profile_is_said_as_sizes():
    assert str(fixed(2, 3, 24, 24)) == "2x3x24x24"
    assert str(profiles_of("pnet", Config())[0]) == "1x3x12x12 to 1x3x325x577"


def camera(width: int, height: int) -> CameraConfig:
    return CameraConfig(name="camera", source="0", max_width=width, max_height=height)
