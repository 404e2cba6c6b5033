"""The photos that are written: private, cut to one face, and none instead of another."""

import os
from pathlib import Path

import cv2
import numpy as np
import pytest

from jetstream.config import load
from jetstream.enroll import photo_writer
from jetstream.enroll.samples import SampleSource, crop
from jetstream.errors import UserError
from jetstream.networks.open import for_photos, open_embedder, open_picture_detector
from jetstream.vision.detection.detector import faces_in
from jetstream.vision.recognition import align
from tests.support.enrolling import photos_in
from tests.support.inside import Inside


def test_photos_are_readable_by_the_owner_alone(jetstream: Inside) -> None:
    old = os.umask(0)
    try:
        assert jetstream("enroll", "Grace Hopper", "--from", "hopper.png", sets=True).returncode == 0
    finally:
        os.umask(old)

    faces = jetstream.folder / "faces"
    assert [path.stat().st_mode & 0o777 for path in (faces, faces / "Grace Hopper")] == [0o700, 0o700]
    (photo,) = (faces / "Grace Hopper").iterdir()
    assert photo.stat().st_mode & 0o777 == 0o600


def test_photo_there_is_never_overwritten(jetstream: Inside) -> None:
    folder = jetstream.folder / "faces" / "Grace Hopper"
    folder.mkdir(parents=True)
    (folder / "hopper-1.jpg").write_text("somebody's")

    assert jetstream("enroll", "Grace Hopper", "--from", "hopper.png", sets=True).returncode == 0
    assert photos_in(jetstream) == ["Grace Hopper/hopper-1.jpg", "Grace Hopper/hopper-2.jpg"]
    assert (folder / "hopper-1.jpg").read_text() == "somebody's"


def test_photos_that_cannot_all_be_written_leave_nothing(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no photo was stored"):
        photo_writer.write("Ada", tmp_path / "faces", ["fine", "x" * 300], [b"1", b"2"])

    assert list(tmp_path.iterdir()) == []


def test_photo_leaves_a_larger_neighbour_out(models_dir: Path, portraits: dict[str, np.ndarray]) -> None:
    """Training takes a photo's largest face, which must be the enrolled one."""
    small = cv2.copyMakeBorder(portraits["Grace Hopper"][20:320, 130:400], 150, 150, 0, 0, cv2.BORDER_REPLICATE)
    large = cv2.resize(portraits["Eileen Collins"][20:260, 165:305], (350, 600))
    image = np.hstack([small, large])
    config = for_photos(load.build({"models": {"dir": str(models_dir)}}, where="test"))
    with open_picture_detector(config) as detector, open_embedder(config) as embedder:
        found = faces_in(detector, image)
        hopper = int(found.boxes[:, 0].argmin())
        widest = crop(image, found.boxes[hopper], SampleSource("both", "both", timed=False))
        wide = cv2.imdecode(np.frombuffer(widest.jpeg, np.uint8), cv2.IMREAD_COLOR)
        embedding = embedder.embed(align.chips(image, found.landmarks[[hopper]], embedder.spec.template), mirror=True)[
            0
        ]
        kept = photo_writer.photo_of(widest, embedding, detector, embedder)
        assert len(faces_in(detector, wide).boxes) == 2
        assert isinstance(kept, photo_writer.NewPhoto)
        photo = cv2.imdecode(np.frombuffer(kept.jpeg, np.uint8), cv2.IMREAD_COLOR)
        assert len(faces_in(detector, photo).boxes) == 1
        assert np.linalg.norm(kept.embedding - embedding) < photo_writer.SAME_FACE

        stranger = embedding + np.float32(0.1)  # 1.1 away
        assert photo_writer.photo_of(widest, stranger, detector, embedder) == photo_writer.ANOTHER_FACE


def test_folder_that_leads_nowhere_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "Ada").symlink_to(tmp_path / "none")

    with pytest.raises(UserError, match=r"Ada: is a link that leads nowhere; remove it. No photo was stored"):
        photo_writer.write("Ada", tmp_path, ["fine"], [b"1"])

    assert not (tmp_path / "none").exists()
