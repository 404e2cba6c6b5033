import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from jetstream.vision.recognition import align
from jetstream.vision.recognition.align import ALIGNMENT_VERSION, DLIB, chip, chips, similarity

# dlib reads chip pixel q at q + 1/2 where the face already has the chip's size.
UPRIGHT = DLIB.points - 0.5
# A face of Eileen Collins's portrait: left eye, right eye, nose, mouth corners.
COLLINS = np.array([[202.0, 108.0], [245.0, 108.0], [225.0, 130.0], [207.0, 152.0], [243.0, 152.0]])


def placed(turn_deg: float, scale: float, centre: tuple[float, float]) -> np.ndarray:
    """(5, 2): the template turned about its middle, scaled, and put at `centre`."""
    angle = np.deg2rad(turn_deg)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return (DLIB.points - 75) @ turn.T * scale + centre


def noise(height: int, width: int) -> np.ndarray:
    """(H, W, 3) uint8: smooth enough for interpolation to mean something."""
    random = np.random.default_rng(1).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return cv2.GaussianBlur(random, (0, 0), 2)


def test_landmarks_on_the_template_give_the_picture_itself():
    image = np.random.default_rng(0).integers(0, 256, (150, 150, 3), dtype=np.uint8)

    assert np.array_equal(chip(image, UPRIGHT, DLIB), image)


@pytest.mark.parametrize(("turn_deg", "scale"), [(25, 1.0), (-90, 1.0), (180, 1.3), (10, 1.7)])
def test_turned_and_scaled_picture_gives_the_same_chip(portraits, turn_deg, scale):
    portrait = portraits["Eileen Collins"]
    matrix = cv2.getRotationMatrix2D((224.0, 130.0), turn_deg, scale)
    turned = cv2.warpAffine(portrait, matrix, (512, 512), flags=cv2.INTER_CUBIC)
    landmarks = COLLINS @ matrix[:, :2].T + matrix[:, 2]

    difference = cv2.absdiff(chip(turned, landmarks, DLIB), chip(portrait, COLLINS, DLIB))

    assert difference.mean() < 3


@pytest.mark.parametrize("scale", [0.4, 1.0, 1.9, 1.99, 2.1, 3.9, 4.1, 8.1])
@pytest.mark.parametrize("turn_deg", [0, 17, -70])
def test_chip_is_the_one_that_dlib_cuts(scale, turn_deg):
    dlib = pytest.importorskip("dlib", reason="needs dlib-bin")
    image = noise(1400, 1600)
    landmarks = placed(turn_deg, scale, (801.3, 702.7))

    def points(rows):
        return dlib.dpoints([dlib.dpoint(float(x), float(y)) for x, y in rows])

    details = dlib.chip_details(points(DLIB.points), points(landmarks), dlib.chip_dims(150, 150))
    theirs = dlib.extract_image_chip(np.ascontiguousarray(image[..., ::-1]), details)[..., ::-1]

    # dlib cuts decimals where OpenCV rounds, once a halving.
    assert cv2.absdiff(chip(image, landmarks, DLIB), np.ascontiguousarray(theirs)).mean() < 1.0 + max(
        0.0, np.log2(scale)
    )


def test_large_face_needs_only_its_own_part_of_the_picture():
    image = noise(1200, 1200)
    landmarks = placed(30, 3.0, (600, 600))
    around = np.zeros((2400, 2400, 3), np.uint8)
    around[400:1600, 800:2000] = image

    assert np.array_equal(chip(around, landmarks + np.array([800, 400]), DLIB), chip(image, landmarks, DLIB))


def test_face_at_the_edge_is_black_beyond_it():
    image = np.full((200, 200, 3), 200, np.uint8)

    cut = chip(image, UPRIGHT - (75, 0), DLIB)

    assert (cut[:, :74] == 0).all()
    assert (cut[:, 76:] == 200).all()


def test_eyes_decide_more_than_the_nose():
    nose, eye = UPRIGHT.copy(), UPRIGHT.copy()
    nose[2] += (0, 10)
    eye[0] += (0, 10)
    moved = [abs(similarity(points, DLIB).shift - similarity(UPRIGHT, DLIB).shift) for points in (nose, eye)]

    assert moved[0] < moved[1] / 3


@pytest.mark.parametrize(
    "landmarks",
    [
        np.full((5, 2), 80.0),
        np.where(np.arange(10).reshape(5, 2) == 4, np.nan, UPRIGHT),
        np.full((5, 2), np.inf),
        UPRIGHT * 1e9,
        UPRIGHT + 1e6,
        UPRIGHT - 1e6,
    ],
    ids=["one point", "nan", "infinite", "huge", "right of the picture", "left of the picture"],
)
def test_landmarks_that_are_no_face_give_a_black_chip(landmarks):
    cut = chip(np.full((200, 200, 3), 255, np.uint8), landmarks, DLIB)

    assert cut.shape == (150, 150, 3)
    assert not cut.any()


@given(arrays(np.float32, (5, 2), elements=st.floats(width=32)))
def test_no_landmarks_crash(landmarks):
    assert chip(np.zeros((40, 60, 3), np.uint8), landmarks, DLIB).shape == (150, 150, 3)


def test_chips_are_the_chip_of_each_face():
    image = noise(400, 400)
    landmarks = np.stack([placed(0, 1.0, (200, 200)), placed(40, 2.4, (180, 220))]).astype(np.float32)

    cut = chips(image, landmarks, DLIB)

    assert cut.shape == (2, 150, 150, 3)
    assert cut.dtype == np.uint8
    assert all(np.array_equal(one, chip(image, points, DLIB)) for one, points in zip(cut, landmarks, strict=True))


def test_no_faces_give_no_chips():
    assert chips(noise(50, 50), np.empty((0, 5, 2), np.float32), DLIB).shape == (0, 150, 150, 3)


def test_alignment_is_still_the_one_of_its_version():
    """Galleries name the version: whoever moves a chip raises it, and changes these numbers."""
    slopes = np.zeros((256, 256, 3), np.uint8)
    slopes[..., 0], slopes[..., 1] = np.meshgrid(np.arange(256), np.arange(256))
    landmarks = placed(12, 1.2, (130, 120)) + np.array([(4, 0), (0, -3), (5, 6), (-7, 2), (1, 8)])

    corners = chip(slopes, landmarks, DLIB)[[0, 0, 149, 149], [0, 149, 0, 149], :2]

    assert ALIGNMENT_VERSION == 1
    assert np.abs(corners.astype(int) - [[62, 13], [238, 50], [25, 190], [201, 226]]).max() <= 1


@pytest.mark.parametrize("side_px", [96, 128, 224])
def test_a_scaled_template_cuts_the_same_face_at_another_size(portraits, side_px):
    image, landmarks = portraits["Eileen Collins"], np.array(align.DLIB.points) + 100
    other = align.scaled(align.ARCFACE, side_px)

    small = align.chip(image, landmarks, align.ARCFACE).astype(float)
    large = cv2.resize(align.chip(image, landmarks, other), (112, 112), interpolation=cv2.INTER_AREA).astype(float)

    assert other.name == f"arcface{side_px}"
    assert np.abs(small - large).mean() < 6


@pytest.mark.parametrize(
    "points",
    [
        align.ARCFACE.points[::-1],  # upside down
        align.ARCFACE.points[[1, 0, 2, 4, 3]],  # right before left
        align.ARCFACE.points * 2,  # outside the chip
        np.full((5, 2), np.nan),
    ],
)
def test_points_that_are_no_upright_face_make_no_template(points):
    with pytest.raises(ValueError, match="not the points of an upright face in a chip of 112 px"):
        align.of_points(points, 112)
