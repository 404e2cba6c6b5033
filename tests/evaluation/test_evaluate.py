"""`jetstream evaluate` on portraits and on real people, against a plain loop, and what bad input gets."""

import itertools
import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from jetstream.config.galleries import gallery_dir
from jetstream.gallery import store
from jetstream.gallery import strangers as background
from jetstream.vision.recognition.embedding_space import SFACE_SPACE
from tests.support import defaults
from tests.support.clips import part_of
from tests.support.command import fails_with
from tests.support.evaluation import PageParser, box_truth
from tests.support.inside import Inside
from tests.support.photos import COLLINS, HOPPER, looks


@pytest.fixture
def jetstream(tmp_path: Path, own_models: Path) -> Inside:
    return Inside(tmp_path, own_models)


@pytest.fixture
def faces(tmp_path: Path, portraits: dict[str, np.ndarray]) -> Path:
    """Two people with three pictures each, and the fourth of each in test/."""
    for name, image in portraits.items():
        for number, look in enumerate(looks(image)):
            folder = tmp_path / ("test" if number == 3 else "faces") / name
            folder.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(folder / f"{number}.png"), look)
    return tmp_path / "faces"


def evaluated(jetstream: Inside, *words: str) -> dict:
    result = jetstream("evaluate", "--json", *words, sets=True)
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)


def test_gallery_alone_is_cross_validated(jetstream: Inside, faces: Path) -> None:
    told = evaluated(jetstream)

    stored = store.read(gallery_dir(faces, jetstream.models, "sface"))
    embeddings, names = stored.arrays["embeddings"], np.array([photo.person for photo in stored.manifest.photos])
    expected = {}
    for row, name in enumerate(names):
        for known, kept in ((True, np.arange(len(names)) != row), (False, names != name)):
            classifier = defaults.fit(
                embeddings[kept], names[kept].tolist(), SFACE_SPACE, background=background.faces("sface")
            )
            (answer,) = classifier.ask(embeddings[[row]])
            expected[stored.manifest.photos[row].file, known] = (answer.name, pytest.approx(answer.distance, abs=1e-5))
    assert {(one["file"], one["known"]): (one["name"], one["distance"]) for one in told["asked"]} == expected
    assert told["figures"]["right"]["count"] == sum(
        name == Path(file).parent.name for (file, known), (name, _) in expected.items() if known
    )
    assert told["figures"]["strangers_named"]["count"] == sum(
        name is not None for (_, known), (name, _) in expected.items() if not known
    )
    assert told["figures"]["right"]["of"] == told["figures"]["strangers_named"]["of"] == 6
    assert not (jetstream.folder / "evaluation.html").exists()


def test_table_and_report_are_made(jetstream: Inside, faces: Path) -> None:
    result = jetstream.outside("evaluate", sets=True)
    report = jetstream.folder / "evaluation.html"

    assert result.returncode == 0, result.stderr
    assert "known people named right" in result.stdout
    assert "6 strangers: at least 16.7 %" in result.stdout
    assert report.stat().st_mode & 0o777 == 0o600
    assert "evaluation.html" in result.stderr
    parsed = PageParser()
    parsed.feed(report.read_text())
    assert all(source.startswith("data:image/") for source in parsed.fetched)


def test_folder_is_asked_and_enrolled_photos_are_left_out(
    jetstream: Inside, faces: Path, portraits: dict[str, np.ndarray]
) -> None:
    test = faces.parent / "test"
    shutil.rmtree(faces / HOPPER)
    shutil.copy(faces / COLLINS / "0.png", test / COLLINS / "again.png")
    cv2.imwrite(str(test / COLLINS / "empty.png"), np.full((200, 200, 3), 90, np.uint8))
    (test / "_unknown").mkdir()
    cv2.imwrite(str(test / "_unknown" / "1.png"), looks(portraits[HOPPER])[1])

    (test / COLLINS.lower()).mkdir()
    cv2.imwrite(str(test / COLLINS.lower() / "1.png"), looks(portraits[HOPPER])[2])
    cv2.imwrite(str(test / "loose.png"), portraits[HOPPER])
    (test / COLLINS / "notes.txt").write_text("of 1992")
    (test / COLLINS.lower() / "1.png").rename(test / COLLINS.lower() / "DSC0001")  # a photo all the same

    told = evaluated(jetstream, "--test", "test", "--out", "report.html")

    assert {one["file"]: (one["known"], one["name"]) for one in told["asked"]} == {
        f"{COLLINS}/3.png": (True, COLLINS),
        f"{HOPPER}/3.png": (False, None),
        f"{COLLINS.lower()}/DSC0001": (False, None),
        "_unknown/1.png": (False, None),
    }
    assert (
        f"test/{COLLINS.lower()} was tested as a stranger: the gallery has {COLLINS}, spelt differently."
        in told["notes"]
    )
    assert "Not tested: 1 picture is in no person's folder (loose.png)." in told["notes"]
    assert (
        f"Not tested: 1 file or folder is no photo (the first: {COLLINS}/notes.txt: not a picture that can be read; "
        "convert it to JPEG or PNG)." in told["notes"]
    )
    assert "2 of 6 photos were left out: in_gallery 1, no_face 1." in told["notes"]
    assert (jetstream.folder / "report.html").exists()


def test_one_person_alone_is_measured_with_invented_strangers(jetstream: Inside, faces: Path) -> None:
    shutil.rmtree(faces / HOPPER)
    told = evaluated(jetstream)

    assert told["figures"]["right"]["of"] == 3
    assert told["figures"]["strangers_named"]["of"] == 2000
    assert told["figures"]["strangers_named"]["share"] < 0.01
    assert any("invented" in note for note in told["notes"])


def test_video_with_truth_goes_through_the_pipeline(jetstream: Inside, faces: Path, portraits: dict) -> None:
    write_video(jetstream.folder / "clip.avi", portraits)
    shutil.rmtree(faces / HOPPER)
    shots = {"size": [1024, 512], "shots": [{"first": 0, "last": 19, "left": COLLINS, "right": HOPPER}]}
    (jetstream.folder / "truth.json").write_text(json.dumps(shots))

    result = evaluated(jetstream, "--test", "clip.avi", "--truth", "truth.json", "--out", "report.html")
    told, sightings = result["video"], result["sightings"]

    replayed = jetstream("replay", "clip.avi", sets=True)
    tracks = [one for line in replayed.stdout.splitlines() for one in json.loads(line)["tracks"]]
    collins = [one["name"] for one in tracks if (one["box"][0] + one["box"][2]) / 2 < 512]
    strangers = [one["name"] for one in tracks if (one["box"][0] + one["box"][2]) / 2 >= 512]
    whole = told["counted"][0]
    assert told["frames"] == 20
    assert (whole["right"]["count"], whole["right"]["of"]) == (collins.count(COLLINS), len(collins))
    assert whole["right"]["count"] > 10
    assert (whole["strangers_named"]["count"], whole["strangers_named"]["of"]) == (0, len(strangers))
    assert len(strangers) > 10
    assert [one["name"] for one in told["first_right"]] == [COLLINS]
    assert (sightings["true"], sightings["found"]["count"], sightings["split"]) == (2, 2, 0)
    assert (sightings["right"]["count"], sightings["right"]["of"]) == (1, 1)
    assert (sightings["strangers_named"]["count"], sightings["strangers_named"]["of"]) == (0, 1)
    assert "Per sighting" in (jetstream.folder / "report.html").read_text()


def write_video(path: Path, portraits: dict[str, np.ndarray]) -> None:
    """20 frames of 1024x512: Collins left, Hopper right."""
    left, right = (cv2.resize(portraits[name], (512, 512)) for name in (COLLINS, HOPPER))
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 20.0, (1024, 512))
    for _ in range(20):
        writer.write(np.hstack([left, right]))
    writer.release()


def test_bad_input_is_one_sentence(jetstream: Inside, faces: Path) -> None:
    folder = jetstream.folder
    (folder / "nobody").mkdir()
    (folder / "hollow" / "Ada").mkdir(parents=True)
    shutil.copytree(faces / COLLINS, folder / "others" / "Somebody")
    (folder / "clip.avi").write_bytes(b"no video")
    (folder / "truth.json").write_text("{")

    fails_with(jetstream("evaluate", "--faces", "missing", sets=True), 2, "--faces missing: no such folder")
    fails_with(jetstream("evaluate", "--faces", "nobody", sets=True), 2, "no known people")
    fails_with(jetstream("evaluate", "--test", "missing", sets=True), 2, "--test missing: no such folder or video")
    fails_with(jetstream("evaluate", "--test", "hollow", sets=True), 2, "--test hollow: no picture in it")
    fails_with(jetstream("evaluate", "--test", "others", sets=True), 2, "nobody of the gallery", "Somebody")
    fails_with(jetstream("evaluate", "--test", "clip.avi", sets=True), 2, "a video needs --truth")
    fails_with(jetstream("evaluate", "--truth", "truth.json", sets=True), 2, "give --test VIDEO")
    fails_with(jetstream("evaluate", "--test", "clip.avi", "--truth", "truth.json", sets=True), 2, "clip.avi")
    fails_with(jetstream("evaluate", "--out", "missing/report.html", sets=True), 2, "make it first")
    for out in (".", "..", "nobody"):
        fails_with(jetstream("evaluate", "--out", out, sets=True), 2, f"--out {out}: it is a folder")
    words = ("evaluate", "--test", "clip.avi", "--truth", "truth.json", "--out", "truth.json")
    fails_with(jetstream(*words, sets=True), 2, "--out truth.json: the report can't replace this file")
    assert (folder / "truth.json").read_text() == "{"
    shutil.copy(faces / COLLINS / "0.png", folder / "nobody")
    fails_with(
        jetstream("evaluate", "--test", "nobody", sets=True), 2, "--test nobody: 1 picture is in no person's folder"
    )


def test_truth_that_does_not_match_is_one_sentence(jetstream: Inside, faces: Path, portraits: dict) -> None:
    write_video(jetstream.folder / "clip.avi", portraits)
    told = jetstream.folder / "truth.json"
    words = ("evaluate", "--test", "clip.avi", "--truth", "truth.json")

    fails_with(jetstream(*words, sets=True), 2, "truth.json: can't be read")
    told.write_text("{")
    fails_with(jetstream(*words, sets=True), 2, "truth.json", "expected")
    told.write_text(json.dumps([box_truth(700, **{COLLINS: 50})]))
    fails_with(jetstream(*words, sets=True), 2, "frames 700 to 700, the video has 0 to 19")
    told.write_text(json.dumps([box_truth(1, Ada=50)]))
    fails_with(jetstream(*words, sets=True), 2, "nobody of the gallery is in it (Ada)")
    told.write_text(json.dumps([box_truth(1, **{COLLINS: 5000})]))
    fails_with(jetstream(*words, sets=True), 2, "no detected face of this video overlaps")


def test_real_people_are_measured_as_a_plain_loop_measures_them(
    jetstream: Inside, data_dir: Path, tmp_path: Path
) -> None:
    people = sorted((data_dir / "lfw10x10").iterdir())
    for number, folder in itertools.product(range(5), people[:3]):
        (tmp_path / "faces" / folder.name).mkdir(parents=True, exist_ok=True)
        photo = sorted(folder.iterdir())[number]
        shutil.copy(photo, tmp_path / "faces" / folder.name)
    told = evaluated(jetstream)["figures"]

    stored = store.read(gallery_dir(tmp_path / "faces", jetstream.models, "sface"))
    used = [photo for photo in stored.manifest.photos if photo.row is not None]
    embeddings, names = stored.arrays["embeddings"], np.array([photo.person for photo in used])
    right = named = 0
    for row, name in enumerate(names):
        for known, kept in ((True, np.arange(len(names)) != row), (False, names != name)):
            classifier = defaults.fit(
                embeddings[kept], names[kept].tolist(), SFACE_SPACE, background=background.faces("sface")
            )
            (answer,) = classifier.ask(embeddings[[row]])
            right += known and answer.name == name
            named += not known and answer.name is not None
    assert (told["right"]["count"], told["right"]["of"]) == (right, len(names))
    assert (told["strangers_named"]["count"], told["strangers_named"]["of"]) == (named, len(names))
    assert right >= 0.9 * len(names)


def test_real_video_is_counted_as_a_plain_loop_counts_it(jetstream: Inside, data_dir: Path) -> None:
    shots = json.loads((data_dir / "video" / "friends_dev.json").read_text()) | {"inside": [60, 1090]}
    shots["shots"] = shots["shots"][:2]
    (jetstream.folder / "truth.json").write_text(json.dumps(shots))
    video, part = data_dir / "video" / "friends_dev.mp4", jetstream.folder / "part.mp4"
    clip, refs = str(part_of(video, part, first=0, end=270)), str(data_dir / "friends_refs")
    told = evaluated(jetstream, "--faces", refs, "--test", clip, "--truth", "truth.json")["video"]

    counts = {"right": 0, "wrong": 0, "unknown": 0}
    for line in jetstream("replay", clip, "--faces", refs, sets=True).stdout.splitlines():
        event = json.loads(line)
        shot = next(shot for shot in shots["shots"] if shot["first"] <= event["frame_id"] <= shot["last"])
        for one in event["tracks"]:
            centre = (one["box"][0] + one["box"][2]) / 2
            late = event["frame_id"] - shot["first"] >= 0.5 * 24000 / 1001
            if late and 60 <= centre <= 1090:
                who = shot["left" if centre < 640 else "right"]
                counts["unknown" if one["name"] is None else "right" if one["name"] == who else "wrong"] += 1
    counted = next(one for one in told["counted"] if one["after_s"] == 0.5)
    assert {key: counted[key]["count"] for key in counts} == counts
