"""The detect stage with two batches under way, as a GPU has them.

`Card` stands in for the GPU: its faces are the real cascade's, made when it is handed the pictures, as an upload would
take them; it keeps the order of the calls and which pictures were searched.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from jetstream.config.schema import Config
from jetstream.ipc.rings import Rings
from jetstream.messages import Captured, Detected, Dropped, Tick
from jetstream.networks.open import open_detector
from jetstream.picture_format import AnyPicture, Nv12Picture, PictureFormat
from jetstream.stages import detect as stage
from jetstream.stages.detect import detect
from jetstream.vision.detection import motion
from jetstream.vision.detection.detector import Detector, DetectorInput, DetectorOutput
from tests.support.nv12 import nv12_of, reference_bgr
from tests.support.stage_messages import captured, config_of, faces_in, rings_for

TICK = [Tick()]


class Card:
    reads_in_place = True
    gpu = None

    def __init__(self, cpu: Detector, *, gives_thumbnails: bool) -> None:
        self.gives_thumbnails = gives_thumbnails
        self._cpu = cpu
        self._under_way: list[list[DetectorOutput]] = []
        self.calls: list[str] = []
        self.searched: list[bool] = []

    def submit(self, looks: Sequence[DetectorInput]) -> list[DetectorOutput]:
        assert len(self._under_way) < 2
        planes = [look.image.luma if isinstance(look.image, Nv12Picture) else look.image for look in looks]
        assert not any(plane.flags.writeable for plane in planes), "pictures lie in the ring"
        self.calls.append("submit")
        self.searched += [look.search for look in looks]
        seen = self._cpu.collect(self._cpu.submit(looks))
        if self.gives_thumbnails:
            seen = [one._replace(thumbnail=motion.thumbnail(look.image)) for one, look in zip(seen, looks, strict=True)]
        self._under_way.append(seen)
        return seen

    def collect(self, ticket: list[DetectorOutput]) -> list[DetectorOutput]:
        assert ticket is self._under_way.pop(0), "oldest first"
        self.calls.append("collect")
        return ticket


@pytest.fixture
def cards(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> list[Card]:
    """The card of each `detect` since; it gives thumbnails where the test's parameter says so."""
    made: list[Card] = []

    @contextmanager
    def open_card(config: Config) -> Iterator[Card]:
        with open_detector(config) as cpu:
            made.append(Card(cpu, gives_thumbnails=getattr(request, "param", False)))
            yield made[-1]

    monkeypatch.setattr(stage, "open_detector", open_card)
    return made


@pytest.fixture(scope="module")
def other(scene: list[np.ndarray]) -> np.ndarray:
    """A view of both people from elsewhere."""
    noise = np.random.default_rng(0).integers(0, 255, (45, 80, 3), np.uint8)
    picture = cv2.resize(scene[5][:, ::-1], (1280, 720))
    picture[:300] = cv2.resize(noise, (1280, 300), interpolation=cv2.INTER_NEAREST)
    return picture


def run(config: Config, images: Sequence[AnyPicture]) -> list[Detected | Dropped]:
    rings = rings_for(config)
    return list(detect(([m] for m in captured(rings, images)), rings, config))


@pytest.mark.parametrize("cards", [False, True], indirect=True)
@pytest.mark.parametrize("search", ["always", "motion"])
def test_nv12_in_the_ring_gives_the_answers_of_its_bgr(
    models_dir: Path, scene: list[np.ndarray], cards: list[Card], search: str
) -> None:
    config = config_of(models_dir, pipeline={"pace": "live"}, detect={"search": search})
    planes = [nv12_of(image, PictureFormat.NV12_601) for image in scene[:3]]

    found, expected = (run(config, images) for images in (planes, [reference_bgr(one) for one in planes]))

    assert found == expected
    assert faces_in(found) == [2, 2, 2]


def written_on_the_way(rings: Rings, images: Sequence[np.ndarray], after: dict[int, int]) -> Iterator[list[Captured]]:
    """A frame a batch; before frame `n` is told of, the camera writes `after[n]` more that nobody takes."""
    for index, image in enumerate(images):
        message = captured(rings, [image])
        if index in after:
            captured(rings, [image] * after[index])
            message = captured(rings, [image])
        yield message


@pytest.mark.parametrize(
    ("pace", "calls"),
    [
        ("live", ["submit", "submit", "collect", "submit", "collect", "collect"]),
        ("every-frame", ["submit", "collect"] * 3),
    ],
)
def test_next_batch_is_handed_in_before_the_last_one_is_waited_for_when_live(
    models_dir: Path, scene: list[np.ndarray], cards: list[Card], pace: str, calls: list[str]
) -> None:
    found = run(config_of(models_dir, pipeline={"pace": pace}), scene[:3])

    assert cards[0].calls == calls
    assert [message.frame.frame_id for message in found] == [0, 1, 2]  # type: ignore[union-attr]
    assert faces_in(found) == [2, 2, 2]


def test_tick_brings_the_answers_that_are_under_way(
    models_dir: Path, scene: list[np.ndarray], cards: list[Card]
) -> None:
    config = config_of(models_dir)
    rings = rings_for(config)
    first, second = captured(rings, scene[:2])

    found = list(detect(iter([TICK, [first], TICK, TICK, [second]]), rings, config))

    assert cards[0].calls == ["submit", "collect"] * 2
    assert faces_in(found) == [2, 2]


def test_detector_that_copies_answers_before_the_next_batch_is_asked_for(
    models_dir: Path, scene: list[np.ndarray]
) -> None:
    config = config_of(models_dir)
    rings = rings_for(config)
    told: list[str] = []

    def batches() -> Iterator[list[Captured]]:
        for message in captured(rings, scene[:3]):
            told.append("asked")
            yield [message]

    for _ in detect(batches(), rings, config):
        told.append("answered")

    assert told == ["asked", "answered"] * 3


@pytest.mark.parametrize("search", ["always", "nth", "motion"])
def test_both_people_are_found_in_every_frame_and_searched_as_often(
    models_dir: Path, scene: list[np.ndarray], cards: list[Card], search: str
) -> None:
    settings: dict[str, Any] = {"search": search, "search_every": 8, "motion_threshold": 0.5}

    assert faces_in(run(config_of(models_dir, detect=settings), scene)) == [2] * 30
    assert sum(cards[0].searched) == {"always": 30, "nth": 5, "motion": 5}[search], "and the second frame"


def test_face_that_a_search_found_is_known_to_all_later_frames(
    models_dir: Path, scene: list[np.ndarray], cards: list[Card]
) -> None:
    """The frame after a search is handed in before the search is answered, and must not forget what it found."""
    alone = [image.copy() for image in scene[:5]]
    for image in alone:
        image[:, 700:] = 90
    config = config_of(models_dir, detect={"search": "nth", "search_every": 6})

    found = faces_in(run(config, [*alone, *scene[5:20]]))

    assert found[:5] == [1] * 5
    first = found.index(2)
    assert found[first + 1] == 1, "it was under way"
    assert set(found[first + 2 :]) == {2}


def test_faces_before_a_cut_are_not_looked_for_behind_it(
    models_dir: Path, scene: list[np.ndarray], other: np.ndarray, cards: list[Card]
) -> None:
    config = config_of(models_dir, detect={"search": "nth", "search_every": 1000})

    found = run(config, [*scene[:3], *[other] * 4])

    assert [message.cut for message in found] == [False] * 3 + [True] + [False] * 3  # type: ignore[union-attr]
    assert cards[0].searched == [True, True, False, True, True, False, False]
    assert len(set(faces_in(found[3:]))) == 1


@pytest.mark.parametrize("cards", [False, True], indirect=True)
def test_frame_that_leaves_the_ring_under_way_is_dropped_and_its_cut_told_by_the_next(
    models_dir: Path, scene: list[np.ndarray], other: np.ndarray, cards: list[Card]
) -> None:
    config = config_of(models_dir, detect={"search": "always"})
    rings = rings_for(config, slots=4)

    found = list(detect(written_on_the_way(rings, [scene[0], scene[1], other, other], {3: 4}), rings, config))

    assert [type(message) for message in found] == [Detected, Detected, Dropped, Detected]
    assert found[2] == Dropped(camera="a", reason="lapped")
    assert [message.cut for message in found if isinstance(message, Detected)] == [False, False, True]


def test_search_that_was_lost_with_its_frame_is_made_up_for(
    models_dir: Path, scene: list[np.ndarray], cards: list[Card]
) -> None:
    config = config_of(models_dir, detect={"search": "nth", "search_every": 4})
    rings = rings_for(config, slots=4)

    found = list(detect(written_on_the_way(rings, [scene[0]] * 8, {6: 4}), rings, config))

    assert cards[0].searched == [True, True, False, False, False, True, False, True]
    assert [isinstance(message, Dropped) for message in found] == [False] * 5 + [True] + [False] * 2


@pytest.mark.parametrize("cards", [True], indirect=True)
def test_thumbnails_of_the_detector_tell_the_cuts_that_the_stages_own_do(
    models_dir: Path, scene: list[np.ndarray], other: np.ndarray, cards: list[Card], monkeypatch: pytest.MonkeyPatch
) -> None:
    config = config_of(models_dir, detect={"search": "always"})
    images = [*scene[:3], other, other, scene[3]]
    theirs = run(config, images)
    monkeypatch.setattr(stage, "open_detector", open_detector)

    own = run(config, images)

    cuts = [message.cut for message in theirs]  # type: ignore[union-attr]
    assert cuts == [message.cut for message in own] == [False, False, False, True, False, True]  # type: ignore[union-attr]


@pytest.mark.parametrize("cards", [True], indirect=True)
def test_no_thumbnail_is_made_where_the_detector_gives_it(
    models_dir: Path, scene: list[np.ndarray], cards: list[Card], monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[int] = []
    plain = motion.thumbnail
    monkeypatch.setattr(motion, "thumbnail", lambda image: made.append(1) or plain(image))

    run(config_of(models_dir, detect={"search": "always"}), scene[:3])
    assert len(made) == 3, "the card's own"
    run(config_of(models_dir, detect={"search": "nth"}), scene[:3])
    assert len(made) == 3 + 2 * 3, "what to search must be known before"


def test_cameras_that_miss_a_batch_keep_their_faces_apart(
    models_dir: Path, scene: list[np.ndarray], cards: list[Card]
) -> None:
    config = config_of(models_dir, "a", "b", detect={"search": "nth", "search_every": 100})
    rings = rings_for(config)
    alone = [image.copy() for image in scene[:6]]
    for image in alone:
        image[:, 700:] = 90
    a, b = captured(rings, scene[:6], "a"), captured(rings, alone, "b")
    batches = [[a[0], b[0]], [a[1]], [b[1], a[2]], [b[2]], [b[3], a[3]], [a[4]], [a[5], b[4]], [b[5]]]

    found = [m for m in detect(iter(batches), rings, config) if isinstance(m, Detected)]

    assert [m.frame for m in found] == [m.frame for batch in batches for m in batch]
    assert {(m.frame.camera, len(m.faces)) for m in found} == {("a", 2), ("b", 1)}


def test_face_that_left_is_searched_for_once(models_dir: Path, scene: list[np.ndarray], cards: list[Card]) -> None:
    """Two frames miss it before the first of them is answered."""
    alone = scene[0].copy()
    alone[:, 700:] = 90

    found = run(config_of(models_dir, detect={"search": "nth", "search_every": 100}), [*[scene[0]] * 4, *[alone] * 5])

    assert cards[0].searched == [True, True, False, False, False, False, True, False, False]
    assert faces_in(found) == [2] * 4 + [1] * 5


def test_frame_overwritten_while_its_thumbnail_is_made_leaves_no_memory(
    models_dir: Path, scene: list[np.ndarray], other: np.ndarray, cards: list[Card], monkeypatch: pytest.MonkeyPatch
) -> None:
    config = config_of(models_dir, detect={"search": "nth"})
    rings = rings_for(config, slots=2)
    plain, made = motion.thumbnail, []

    def slow(image: np.ndarray) -> np.ndarray:
        made.append(image)
        if len(made) == 2:
            captured(rings, [scene[0]] * 2)
            return plain(other)  # torn
        return plain(image)

    monkeypatch.setattr(motion, "thumbnail", slow)

    batches = (batch for message in written_on_the_way(rings, [scene[0]] * 3, {}) for batch in (message, TICK))
    found = list(detect(batches, rings, config))

    assert found.count(Dropped(camera="a", reason="lapped")) == 1
    assert [message.cut for message in found if isinstance(message, Detected)] == [False, False]
    assert len(cards[0].searched) == 2, "it was not handed in"
