"""On embeddings made up around the middles of people; each test says how far apart its photos are."""

import cv2
import numpy as np
import pytest

from jetstream.vision.recognition.curation import (
    BLURRED,
    COVERED,
    DUPLICATE,
    EXTREME_POSE,
    LOOKS_LIKE,
    SAME_PICTURE,
    PhotoDoubt,
    PhotoJudgement,
    judge,
    spreads,
    thumb,
)
from jetstream.vision.recognition.embedding_space import DLIB_SPACE
from jetstream.vision.recognition.quality import Quality

GOOD = Quality(1.0, 1.0, 1.0, 1.0, 1.0)
DARK_GLASSES = GOOD._replace(occlusion=0.45)
SOFT, TURNED = GOOD._replace(sharpness=0.05), GOOD._replace(pose=0.0)
ADA, BOB, CAM = 0, 1, 2


class Album:
    """Photos of people who are 0.8 apart; one person's photos are about 0.45 from each other."""

    def __init__(self, seed: int = 0) -> None:
        self.random = np.random.default_rng(seed)
        self.middles = np.linalg.qr(self.random.standard_normal((128, 8)))[0].T * 0.8 / np.sqrt(2)
        self.owners: list[int] = []
        self.embeddings: list[np.ndarray] = []
        self.thumbs: list[np.ndarray] = []
        self.qualities: list[Quality] = []

    def put(self, owner: int, shows: int | None = None, quality: Quality = GOOD, count: int = 1) -> "Album":
        for _ in range(count):
            noise = self.random.standard_normal(128)
            shown = self.middles[owner if shows is None else shows]
            self._add(owner, shown + 0.32 * noise / np.linalg.norm(noise), quality)
            self.thumbs.append(self.random.integers(0, 256, 256).astype(np.uint8))
        return self

    def copy(self, of: int, owner: int | None = None, moved: float = 0.0, noise: int = 0) -> "Album":
        """The picture again, its embedding `moved` from the first one's and its pixels by up to `noise`."""
        away = self.random.standard_normal(128)
        place = self.embeddings[of] + moved * away / np.linalg.norm(away)
        self._add(self.owners[of] if owner is None else owner, place, self.qualities[of])
        pixels = self.thumbs[of].astype(int) + self.random.integers(-noise, noise + 1, 256)
        self.thumbs.append(np.clip(pixels, 0, 255).astype(np.uint8))
        return self

    def _add(self, owner: int, embedding: np.ndarray, quality: Quality) -> None:
        self.owners.append(owner)
        self.embeddings.append(embedding)
        self.qualities.append(quality)

    def judge(self) -> PhotoJudgement:
        embeddings = np.array(self.embeddings, np.float32).reshape(-1, 128)
        thumbs = np.array(self.thumbs, np.uint8).reshape(-1, 256)
        return judge(np.array(self.owners, np.intp), embeddings, self.qualities, thumbs, DLIB_SPACE)


def test_no_photo_is_no_trouble():
    assert Album().judge() == PhotoJudgement()


@pytest.mark.parametrize("seed", range(10))
def test_good_photos_are_all_learnt_from(seed):
    assert Album(seed).put(ADA, count=9).put(BOB, count=2).put(CAM).judge() == PhotoJudgement()


@pytest.mark.parametrize(("quality", "code"), [(SOFT, BLURRED), (TURNED, EXTREME_POSE)])
def test_useless_photo_is_refused_beside_a_good_one(quality, code):
    assert Album().put(ADA).put(ADA, quality=quality).judge().refused == {1: code}


@pytest.mark.parametrize(("quality", "code"), [(SOFT, BLURRED), (TURNED, EXTREME_POSE)])
def test_best_of_a_persons_useless_photos_is_kept_under_doubt(quality, code):
    better = quality._replace(sharpness=max(quality.sharpness, 0.08), pose=max(quality.pose, 0.04))

    found = Album().put(ADA, quality=quality).put(ADA, quality=better).put(ADA, quality=quality).judge()

    assert found.refused == {0: code, 2: code}
    assert found.doubts == [PhotoDoubt(1, code, -1)]


@pytest.mark.parametrize("others", [0, 3])
def test_covered_face_is_learnt_from_under_doubt_whether_or_not_there_are_others(others):
    found = Album().put(ADA, quality=DARK_GLASSES).put(ADA, count=others).judge()

    assert found == PhotoJudgement(doubts=[PhotoDoubt(0, COVERED, -1)])


def test_covered_photo_that_is_refused_has_no_doubt_beside():
    found = Album().put(ADA).put(ADA, quality=DARK_GLASSES._replace(sharpness=0.0)).judge()

    assert found == PhotoJudgement(refused={1: BLURRED})


@pytest.mark.parametrize(("moved", "noise"), [(0.0, 0), (0.06, 200), (0.3, 5)], ids=["bytes", "embedding", "thumbnail"])
def test_same_picture_of_one_person_is_a_duplicate_and_the_first_stays(moved, noise):
    assert Album().put(ADA, count=3).copy(1, moved=moved, noise=noise).judge().refused == {3: DUPLICATE}


def test_photos_of_one_sitting_are_no_duplicates():
    found = Album().put(ADA).copy(0, moved=0.18, noise=60).copy(0, moved=0.18, noise=60).judge()

    assert found == PhotoJudgement()


def test_same_scene_with_another_face_is_no_duplicate():
    assert Album().put(ADA, count=2).copy(0, moved=0.6).judge() == PhotoJudgement()


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("photos", [3, 4, 8])
def test_two_photos_swapped_between_two_people_are_found(photos, seed):
    album = Album(seed).put(ADA, count=photos - 1).put(ADA, shows=BOB).put(BOB, count=photos - 1).put(BOB, shows=ADA)

    found = album.judge()

    wrong = {photos - 1: BOB, 2 * photos - 1: ADA}
    assert found.refused == dict.fromkeys(wrong, LOOKS_LIKE)
    assert found.like == wrong
    assert found.doubts == []


def test_wrong_one_of_two_photos_is_found_where_the_other_person_is_sure():
    found = Album().put(ADA).put(ADA, shows=BOB).put(BOB, count=3).judge()

    assert found.like == {1: BOB}


def test_nobody_can_tell_which_of_two_and_two_photos_are_swapped():
    found = Album().put(ADA).put(ADA, shows=BOB).put(BOB).put(BOB, shows=ADA).judge()

    assert found.refused == {}


def test_only_photo_is_kept_whomever_it_shows():
    found = Album().put(ADA, shows=BOB).put(BOB, count=4).judge()

    assert found.refused == {}
    assert found.doubts == [PhotoDoubt(0, LOOKS_LIKE, BOB)]


def test_at_most_half_of_a_persons_photos_are_refused_for_whom_they_show():
    album = Album().put(ADA, count=1).put(ADA, shows=BOB, count=2).put(ADA, shows=CAM, count=2)
    found = album.put(BOB, count=6).put(CAM, count=6).judge()

    assert len(found.like) == len(found.refused) == 2
    assert set(found.like) <= {1, 2, 3, 4}
    assert {doubt.code for doubt in found.doubts} == {LOOKS_LIKE}


def test_wrong_photos_of_many_people_are_all_found():
    album = Album()
    for person in range(6):
        album.put(person, count=6).put(person, shows=(person + 1) % 6, count=2)

    found = album.judge()

    assert sorted(found.like) == [8 * person + extra for person in range(6) for extra in (6, 7)]


def test_one_picture_in_two_folders_goes_to_whom_it_shows():
    found = Album().put(ADA, count=3).put(BOB, count=3).copy(0, owner=BOB).judge()

    assert found.refused == {6: LOOKS_LIKE}
    assert found.like == {6: ADA}
    assert found.doubts == []


def test_one_picture_in_two_folders_is_told_of_both_where_nobody_can_say_whose_it_is():
    found = Album().put(ADA).copy(0, owner=BOB).judge()

    assert found.refused == {}
    assert {doubt for doubt in found.doubts if doubt.code == SAME_PICTURE} == {
        PhotoDoubt(0, SAME_PICTURE, 1),
        PhotoDoubt(1, SAME_PICTURE, 0),
    }


def test_order_of_people_does_not_matter():
    forward = Album().put(ADA, count=3).put(ADA, shows=BOB).put(BOB, count=4)
    backward = Album().put(ADA, count=3).put(ADA, shows=BOB).put(BOB, count=4)
    backward.owners = [1 - owner for owner in backward.owners]

    assert set(forward.judge().refused) == set(backward.judge().refused) == {3}


def test_many_rows_are_judged_in_pieces_as_they_are_in_one(monkeypatch):
    album = Album().put(ADA, count=5).put(ADA, shows=BOB).copy(2).put(BOB, count=6)
    whole = album.judge()
    monkeypatch.setattr("jetstream.vision.recognition.curation._AT_ONCE", 3)

    assert album.judge() == whole
    assert whole.refused == {5: LOOKS_LIKE, 6: DUPLICATE}


def test_spread_and_nearest_person():
    album = Album().put(ADA, count=20).put(BOB, count=20).put(CAM)
    ada, bob, cam, nobody = spreads(np.array(album.owners), np.array(album.embeddings, np.float32), 4, DLIB_SPACE)

    assert ada.own == pytest.approx(0.33, abs=0.02)
    assert (ada.nearest, bob.nearest) == (BOB, ADA)
    assert ada.distance == pytest.approx(0.8, abs=0.05)
    assert ada.distance is not None
    assert ada.apart is not None
    assert ada.apart < ada.distance
    assert cam.own is None
    assert cam.nearest in (ADA, BOB)
    assert nobody == (None, None, None, None)


def test_one_person_has_no_nearest():
    album = Album().put(ADA, count=2)

    assert spreads(np.array(album.owners), np.array(album.embeddings), 1, DLIB_SPACE)[0].nearest is None


def test_thumbnail_survives_saving_anew():
    random = np.random.default_rng(0)
    image = cv2.resize(random.integers(0, 256, (12, 16, 3)).astype(np.uint8), (640, 480))
    smaller = cv2.resize(image, (320, 240), interpolation=cv2.INTER_AREA)
    again = cv2.imdecode(cv2.imencode(".jpg", smaller, [cv2.IMWRITE_JPEG_QUALITY, 60])[1], cv2.IMREAD_COLOR)

    assert np.corrcoef(thumb(image), thumb(again))[0, 1] > 0.997
