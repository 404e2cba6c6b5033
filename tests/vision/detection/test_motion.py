"""Motion and scene cuts on pictures made here, and on real cuts where the data is."""

from pathlib import Path

import av
import numpy as np
import pytest

from jetstream.vision.detection import motion


def picture(seed: int) -> np.ndarray:
    """(360, 640, 3) uint8: smooth random structure, like a scene's."""
    coarse = np.random.default_rng(seed).integers(0, 256, (9, 16, 3)).astype(np.uint8)
    return np.kron(coarse, np.ones((40, 40, 1), np.uint8))


def test_same_picture_has_not_changed() -> None:
    thumbnail = motion.thumbnail(picture(1))

    assert motion.change(thumbnail, thumbnail) == motion.SceneChange(0.0, cut=False)


def test_something_that_moved_changes_a_share_and_is_no_cut() -> None:
    after = picture(1)
    after[100:200, 100:200] = 255 - after[100:200, 100:200]

    change = motion.change(motion.thumbnail(picture(1)), motion.thumbnail(after))

    assert 0.02 < change.share < 0.06
    assert not change.cut


def test_another_scene_is_a_cut() -> None:
    assert motion.change(motion.thumbnail(picture(1)), motion.thumbnail(picture(2))).cut


def test_light_that_changes_is_no_cut() -> None:
    darker = (picture(1) * 0.4).astype(np.uint8)

    change = motion.change(motion.thumbnail(picture(1)), motion.thumbnail(darker))

    assert change.share > 0.5
    assert not change.cut


def test_another_size_is_another_scene() -> None:
    assert motion.change(motion.thumbnail(picture(1)), motion.thumbnail(picture(1)[:180])) == motion.SceneChange(
        1.0, cut=True
    )


def test_cuts_of_a_real_video_are_found_and_nothing_else(data_dir: Path) -> None:
    cuts, before = [], None
    with av.open(str(data_dir / "video" / "friends_dev.mp4")) as container:
        for index, frame in enumerate(container.decode(video=0)):
            thumbnail = motion.thumbnail(frame.to_ndarray(format="bgr24"))
            if before is not None and motion.change(before, thumbnail).cut:
                cuts.append(index)
            before = thumbnail

    assert cuts == [104, 270]


@pytest.mark.parametrize("shape", [(135, 240), (1000, 2000)])
def test_correlation_is_that_of_exact_sums(shape: tuple[int, int]) -> None:
    draws = np.random.default_rng(0)
    noise, other = draws.integers(0, 256, shape, np.uint8), draws.integers(0, 256, shape, np.uint8)
    alike, nearly_white = noise // 2 + other // 2, np.full(shape, 255, np.uint8)
    nearly_white[0, 0] = 254  # float32 rounds the mean by more than these pixels differ from it
    for a, b in ((noise, other), (noise, alike), (nearly_white, noise), (nearly_white, nearly_white)):
        assert motion.correlation(a, b) == pytest.approx(np.corrcoef(a.ravel(), b.ravel())[0, 1], abs=1e-9)
    assert motion.correlation(noise, np.full(shape, 200, np.uint8)) == 0.0
