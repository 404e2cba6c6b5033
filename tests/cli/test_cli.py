"""Insides as a user types them: what they print, what bad input gets, and the exit codes."""

import json
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.support.clips import demo_clip
from tests.support.command import fails_with
from tests.support.inside import Inside
from tests.support.picture_files import NOT_READ, animated, encoded
from tests.support.repository import DEFAULT, REPOSITORY


@pytest.fixture
def pictures(tmp_path: Path, portraits: dict[str, np.ndarray]) -> dict[str, Path]:
    """The portraits and what people have besides: grey, RGBA, 16 bit, EXIF-turned, tiny and no picture at all."""
    collins = portraits["Eileen Collins"]
    grey = cv2.cvtColor(collins, cv2.COLOR_BGR2GRAY)
    kinds: dict[str, np.ndarray] = {
        "colour.png": collins,
        "grey.png": grey,
        "rgba.png": cv2.cvtColor(collins, cv2.COLOR_BGR2BGRA),
        "deep.png": (collins.astype(np.uint16) * 257),
        "one.png": np.zeros((1, 1, 3), np.uint8),
    }
    for name, image in kinds.items():
        cv2.imwrite(str(tmp_path / name), image)
    from PIL import Image

    turned = Image.fromarray(cv2.cvtColor(collins, cv2.COLOR_BGR2RGB)).rotate(90, expand=True)
    exif = Image.Exif()
    exif[0x0112] = 6  # to be shown turned by 90 degrees to the right
    turned.save(tmp_path / "turned.jpg", exif=exif, quality=95)
    (tmp_path / "phone.heic").write_bytes(encoded("HEIF", turned, exif=exif.tobytes(), quality=90))
    (tmp_path / "text.jpg").write_text("no picture")
    return {path.name: path for path in tmp_path.iterdir()}


@pytest.mark.parametrize("kind", ["colour.png", "grey.png", "rgba.png", "deep.png", "turned.jpg", "phone.heic"])
def test_detect_finds_the_face_in_every_kind_of_picture(
    jetstream: Inside, pictures: dict[str, Path], kind: str
) -> None:
    result = jetstream("detect", kind, "--json", "--set", f"models.dir={jetstream.models}")

    assert result.returncode == 0, result.stderr
    (seen,) = json.loads(result.stdout)
    assert seen["image"] == kind
    (face,) = seen["faces"]
    assert set(face) == {"box", "score", "landmarks"}
    x1, y1, x2, y2 = face["box"]
    assert np.allclose([x1, y1, x2, y2], [180, 59, 267, 175], atol=12)
    assert len(face["landmarks"]) == 5
    assert all(x1 < x < x2 and y1 < y < y2 for x, y in face["landmarks"])


def test_detect_reports_what_it_can_and_says_what_it_cannot(jetstream: Inside, pictures: dict[str, Path]) -> None:
    names = ("colour.png", "text.jpg", "one.png", "missing.png")
    result = jetstream.outside("detect", *names, "--json", "--set", f"models.dir={jetstream.models}")

    fails_with(result, 2, "text.jpg", "missing.png", sentences=2)
    assert [(seen["image"], len(seen["faces"])) for seen in json.loads(result.stdout)] == [
        ("colour.png", 1),
        ("one.png", 0),
    ]


def test_picture_of_20000_pixels_a_side_is_refused_before_it_is_read(jetstream: Inside, tmp_path: Path) -> None:
    from PIL import Image

    Image.new("1", (20000, 20000)).save(tmp_path / "huge.png")

    fails_with(jetstream("detect", "huge.png", "--set", f"models.dir={jetstream.models}"), 2, "huge.png", "megapixels")


def test_train_then_identify_names_the_enrolled_and_nobody_else(
    jetstream: Inside, tmp_path: Path, portraits: dict[str, np.ndarray]
) -> None:
    for name, image in portraits.items():
        cv2.imwrite(str(tmp_path / f"{name.split()[0]}.png"), image)
    person = tmp_path / "faces" / "Åsa Öberg 2"  # spaces and letters beyond ASCII
    person.mkdir(parents=True)
    cv2.imwrite(str(person / "1.png"), portraits["Eileen Collins"])
    models = ("--set", f"models.dir={jetstream.models}")

    trained = jetstream("train", *models)
    result = jetstream("identify", "Eileen.png", "Grace.png", "--json", *models)

    assert trained.returncode == 0, trained.stderr
    assert "Åsa Öberg 2" in trained.stdout
    assert result.returncode == 0, result.stderr
    collins, hopper = (seen["faces"][0] for seen in json.loads(result.stdout))
    assert collins["name"] == "Åsa Öberg 2"
    assert hopper["name"] is None
    assert hopper["nearest"] == "Åsa Öberg 2"
    assert collins["distance"] < hopper["distance"]
    keys = {"box", "score", "landmarks", "name", "confidence", "distance", "nearest"}
    assert set(collins) == keys | {"photo", "gate", "margin", "quality", "poor", "why"}
    assert (collins["photo"], collins["margin"]) == ("Åsa Öberg 2/1.png", None), "nobody else is known"

    explained = jetstream.outside("identify", "Eileen.png", "Grace.png", "--explain", *models).stdout.splitlines()
    assert "nearest photo Åsa Öberg 2/1.png, quality" in explained[1]
    assert "named: near enough" in explained[1]
    assert "  1. unknown: nearest Åsa Öberg 2 at 0." in explained[3]
    assert "refused: too far from everybody known" in explained[3]


def test_identify_compares_no_face_below_min_quality_and_says_why(
    jetstream: Inside, tmp_path: Path, portraits: dict[str, np.ndarray]
) -> None:
    person = tmp_path / "faces" / "Ada"
    person.mkdir(parents=True)
    cv2.imwrite(str(person / "1.png"), portraits["Eileen Collins"])
    cv2.imwrite(str(tmp_path / "blurred.png"), cv2.GaussianBlur(portraits["Eileen Collins"], (0, 0), 4))
    models = ("--set", f"models.dir={jetstream.models}")

    refused = jetstream("identify", "blurred.png", "--explain", "--set", "recognize.min_quality=0.9", *models)
    told = jetstream("identify", "blurred.png", "--json", "--set", "recognize.min_quality=0.9", *models)
    named = jetstream("identify", "blurred.png", "--json", "--set", "recognize.min_quality=0", *models)

    first, second = refused.stdout.splitlines()
    assert first.startswith("blurred.png: not recognisable, too blurred (")
    assert "not compared: too blurred; recognize.min_quality asks for 0.90" in second
    (face,) = json.loads(told.stdout)[0]["faces"]
    assert (face["name"], face["nearest"], face["distance"], face["poor"]) == (None, None, None, "sharpness")
    (face,) = json.loads(named.stdout)[0]["faces"]
    assert (face["name"], face["poor"]) == ("Ada", None)


def test_empty_faces_folder_makes_everyone_unknown_and_says_so_once(
    jetstream: Inside, pictures: dict[str, Path], tmp_path: Path
) -> None:
    (tmp_path / "nobody").mkdir()
    result = jetstream(
        "identify", "colour.png", "--faces", "nobody", "--json", "--set", f"models.dir={jetstream.models}"
    )

    assert result.returncode == 0, result.stderr
    assert result.stderr.count("everyone will be unknown") == 1
    assert json.loads(result.stdout)[0]["faces"][0]["name"] is None


def test_person_without_a_usable_photo_is_named_and_skipped(
    jetstream: Inside, pictures: dict[str, Path], portraits: dict[str, np.ndarray], tmp_path: Path
) -> None:
    for name in ("Ada", "Empty Wall"):
        (tmp_path / "faces" / name).mkdir(parents=True)
    cv2.imwrite(str(tmp_path / "faces" / "Ada" / "1.png"), portraits["Eileen Collins"])
    cv2.imwrite(str(tmp_path / "faces" / "Empty Wall" / "wall.png"), np.full((300, 300, 3), 90, np.uint8))

    result = jetstream("train", "--set", f"models.dir={jetstream.models}")

    assert result.returncode == 0, result.stderr
    assert "Empty Wall: no usable photo (no_face Empty Wall/wall.png); left out" in result.stderr.replace("\n", "")


def test_what_is_no_photo_is_said_in_one_line_with_the_first_and_listed(
    jetstream: Inside, portraits: dict[str, np.ndarray], tmp_path: Path
) -> None:
    folder = tmp_path / "faces" / "Ada"
    (folder / "holiday").mkdir(parents=True)
    cv2.imwrite(str(folder / "1.png"), portraits["Eileen Collins"])
    for number in range(50):
        (folder / f"{number}.dng").write_bytes(NOT_READ["phone.dng"])
        (folder / f"{number}.heic").write_bytes(NOT_READ["photo.jxl"])
    settings = ("--set", f"models.dir={jetstream.models}")

    result = jetstream("train", *settings)
    told = json.loads(jetstream("people", "--json", *settings).stdout)

    said = " ".join(result.stderr.split())
    assert "51 files or folders in people's folders left out as no photo (the first: faces/Ada/0.dng: " in said
    assert "50 photos can't be read (the first: faces/Ada/0.heic: not a picture that can be read (JPEG XL); " in said
    assert len(result.stderr.splitlines()) < 12
    (ada,) = told["people"]
    assert ada["used"] == 1
    assert len(ada["not_taken"]) == 51
    assert {"code": "folder", "person": "Ada", "file": "Ada/holiday"}.items() <= ada["not_taken"][-1].items()


@pytest.mark.parametrize("words", [("train",), ("identify", "face.png"), ("evaluate",), ("rename", "Ada", "Grace")])
def test_log_lines_bear_the_name_of_the_command(
    jetstream: Inside, portraits: dict[str, np.ndarray], tmp_path: Path, words: tuple[str, ...]
) -> None:
    (tmp_path / "faces" / "Ada").mkdir(parents=True)
    for path in ("faces/Ada/1.png", "face.png"):
        cv2.imwrite(str(tmp_path / path), portraits["Eileen Collins"])
    (tmp_path / "faces" / "Ada" / "2.dng").write_bytes(NOT_READ["phone.dng"])

    said = jetstream(*words, "--set", f"models.dir={jetstream.models}").stderr

    assert f"jetstream warning {words[0]}: " in said
    assert "jetstream warning run: " not in said


def test_train_tells_of_each_person_in_a_table_and_in_json(
    jetstream: Inside, portraits: dict[str, np.ndarray], tmp_path: Path
) -> None:
    for file, image in (
        ("Ada/1.png", portraits["Eileen Collins"]),
        (
            "Ada/a copy with quite a long name, as cameras and people like to give to their files.png",
            portraits["Eileen Collins"],
        ),
        ("[b]Grace/1.png", portraits["Grace Hopper"]),
        ("_unknown/1.png", np.full((300, 300, 3), 90, np.uint8)),
    ):
        (tmp_path / "faces" / file).parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(tmp_path / "faces" / file), image)
    settings = ("--set", f"models.dir={jetstream.models}")

    shown = jetstream.outside("train", *settings)
    told = jetstream("people", "--json", *settings)

    assert shown.returncode == told.returncode == 0, shown.stderr + told.stderr
    (ada,) = (line for line in shown.stdout.splitlines() if line.startswith("│ Ada"))
    assert "duplicate: a copy with quite a long name, as cameras and people like to give to their files.png" in ada
    assert "only one photo" in ada
    assert "[b]Grace 0." in ada, "the nearest other person, whatever the name"
    (unknown,) = (line for line in shown.stdout.splitlines() if "(unknown)" in line)
    assert "no_face: 1.png" in unknown
    report = json.loads(told.stdout)
    assert [(person["name"], person["used"]) for person in report["people"]] == [("Ada", 1), ("[b]Grace", 1)]
    assert report["people"][0]["refused"][0]["code"] == "duplicate"
    assert report["people"][0]["warnings"] == [{"code": "one_photo", "file": None}]
    assert report["unknown"]["used"] == 0


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("run", "nothere.toml"), "nothere.toml: No such file or directory"),
        (("run", DEFAULT, "--source", "nothere.mp4"), "nothere.mp4"),
        (("run", DEFAULT, "--source", "text.jpg"), "text.jpg"),
        (("run", DEFAULT, "--source", "notes.txt"), "notes.txt"),
        (("run", DEFAULT, "--source", "empty"), "empty"),
        (("run", DEFAULT, "--source", "/dev/video63"), "make demo"),
        (("run", DEFAULT, "--source", "ftp://example.invalid/x"), "ftp://"),
        (("run", DEFAULT, "--set", "detect.min_face_pix=3"), "did you mean min_face_px?"),
        (("run", DEFAULT, "--stage", "detcet"), "stages are capture, decode, detect, track"),
        (("replay", "nothere.mp4", "--out", "e.jsonl"), "nothere.mp4"),
        (("check", DEFAULT, "--set", "pipeline.slots=1"), "pipeline.slots: expected a number >= 2, got 1"),
    ],
)
def test_bad_input_is_one_sentence_and_exit_2(
    jetstream: Inside, pictures: dict[str, Path], tmp_path: Path, words: tuple[str, ...], sentence: str
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "notes.txt").write_text("not a video\n")

    result = jetstream(*words, "--set", f"models.dir={jetstream.models}")

    fails_with(result, 2, sentence)
    assert len(result.stderr.strip().splitlines()) == 1, result.stderr


def test_config_without_a_camera_points_to_the_demo(jetstream: Inside, tmp_path: Path) -> None:
    (tmp_path / "c.toml").write_text("[detect]\nmin_face_px = 60\n")

    fails_with(jetstream.outside("run", "c.toml", sets=True), 2, "no camera", "make demo")


def test_unknown_option_is_exit_2(jetstream: Inside) -> None:
    fails_with(jetstream("run", DEFAULT, "--headles"), 2, "--headles")


def test_replay_that_cannot_write_its_events_says_so(jetstream: Inside, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    words = ("replay", "demo", "--out", "file/e.jsonl", "--set", f"models.dir={jetstream.models}")

    fails_with(jetstream(*words), 2, "file/e.jsonl", "can be written")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--out", "clip.mp4"), "an output can't be the input"),
        (("--out", "e.jsonl", "--video", "clip.mp4"), "an output can't be the input"),
        (("--out", "e.jsonl", "--video", "o.avi"), "ends in .mp4 or .mkv"),
        (("--out", "e.jsonl", "--video", "clip.mp4/o.mp4"), "clip.mp4/o.mp4: "),
    ],
)
def test_replay_that_cannot_go_well_leaves_what_was_there(
    jetstream: Inside, tmp_path: Path, words: tuple[str, ...], sentence: str
) -> None:
    before = demo_clip(tmp_path / "clip.mp4", frames=3).read_bytes()
    (tmp_path / "e.jsonl").write_text("earlier\n")

    fails_with(jetstream("replay", "clip.mp4", *words, "--set", f"models.dir={jetstream.models}"), 2, sentence)

    assert (tmp_path / "clip.mp4").read_bytes() == before
    assert (tmp_path / "e.jsonl").read_text() == "earlier\n"


def test_replay_without_a_file_for_its_events_prints_them(jetstream: Inside, tmp_path: Path) -> None:
    demo_clip(tmp_path / "clip.mp4", frames=3)
    result = jetstream("replay", "clip.mp4", "--set", f"models.dir={jetstream.models}")

    assert result.returncode == 0, result.stderr
    assert [json.loads(line)["frame_id"] for line in result.stdout.splitlines()] == [0, 1, 2]


def test_replay_of_an_animated_picture_gives_each_of_its_frames(jetstream: Inside, tmp_path: Path) -> None:
    for kind in ("WEBP", "PNG"):
        (tmp_path / "film.jpg").write_bytes(animated(kind, frames=5))

        result = jetstream("replay", "film.jpg", sets=True)

        assert result.returncode == 0, result.stderr
        assert len(result.stdout.splitlines()) == 5


def test_explained_replay_says_why_each_track_bears_its_name(jetstream: Inside, tmp_path: Path) -> None:
    demo_clip(tmp_path / "clip.mp4", frames=30)
    models = ("--set", f"models.dir={jetstream.models}", "--faces", "demo")
    to_file = jetstream("replay", "clip.mp4", "--explain", "--out", "e.jsonl", *models)
    to_stdout = jetstream("replay", "clip.mp4", "--explain", *models)

    assert to_file.returncode == 0, to_file.stderr
    lines = to_file.stdout.splitlines()
    events = [json.loads(line) for line in (tmp_path / "e.jsonl").read_text().splitlines()]
    tracks = [line for line in lines if not line.startswith(" ")]
    assert [line.split(":")[0] for line in tracks] == list(
        dict.fromkeys(f"clip #{track['track_id']}" for event in events for track in event["tracks"])
    )
    (best,) = [line for line in lines if line.startswith("  Eileen Collins ")]
    assert "answers, closest at 0." in best
    assert "nearest photo Eileen Collins/" in best
    assert [json.loads(line)["frame_id"] for line in to_stdout.stdout.splitlines()] == list(range(30))
    assert all(line in to_stdout.stderr.splitlines() for line in lines)
    shown = [track for event in events for track in event["tracks"] if track["name"]]
    assert all(track["votes"][0]["name"] == "Eileen Collins" for track in shown)


def test_faces_folder_that_is_not_there_is_a_mistake_when_it_is_named(jetstream: Inside) -> None:
    fails_with(jetstream("train", "--faces", "nobody-here"), 2, "--faces nobody-here: no such folder")
    too_long = "x" * 300  # as a folder that may not be entered: Path.is_dir() raises
    fails_with(jetstream("train", "--faces", too_long), 2, f"--faces {too_long}: no such folder")


def test_models_folder_that_cannot_be_made_is_one_sentence(jetstream: Inside, tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    fails_with(jetstream("models", "--dir", "file/models"), 2, "file/models")


def test_check_prints_what_is_in_effect_without_passwords(jetstream: Inside, tmp_path: Path) -> None:
    (tmp_path / "c.toml").write_text('[[cameras]]\nname = "a"\nsource = "demo"\n[detect]\npreset = "accurate"\n')
    shown = jetstream.outside("check", "c.toml", "--set", "recognize.faces=:cat:", sets=True)
    (tmp_path / "d.toml").write_text(
        '[[cameras]]\nname = "a"\nsource = "rtsp://me:secret@127.0.0.1:1/s"\nopen_timeout_s = 2.0\n'
    )
    masked = jetstream("check", "d.toml", sets=True)

    assert shown.returncode == 0, shown.stderr
    assert "thresholds = [\n    0.6,\n    0.7,\n    0.5,\n]" in shown.stdout
    assert "camera a: demo" in shown.stderr
    assert "people: :cat:: nobody" in shown.stderr
    assert "secret" not in masked.stdout + masked.stderr
    assert "***@127.0.0.1" in masked.stdout


def test_help_and_version_read_well(jetstream: Inside) -> None:
    top = jetstream.outside("--help")

    for command in (
        "run",
        "replay",
        "train",
        "people",
        "rename",
        "merge",
        "forget",
        "identify",
        "detect",
        "subscribe",
        "check",
        "top",
        "models",
    ):
        assert f" {command} " in top.stdout
        assert jetstream(command, "--help").returncode == 0
    assert jetstream("--version").stdout == "jetstream 0.1.0\n"


def test_truncated_video_is_processed_up_to_the_damage_and_said(jetstream: Inside, tmp_path: Path) -> None:
    whole = demo_clip(tmp_path / "whole.mkv", frames=60)
    (tmp_path / "cut.mkv").write_bytes(whole.read_bytes()[: int(whole.stat().st_size * 0.6)])

    result = jetstream.outside("replay", "cut.mkv", "--out", "e.jsonl", "--set", f"models.dir={jetstream.models}")

    assert result.returncode == 0, result.stderr
    ids = [json.loads(line)["frame_id"] for line in (tmp_path / "e.jsonl").read_text().splitlines()]
    assert ids == list(range(len(ids)))
    assert 20 < len(ids) < 60
    assert "cut.mkv" in result.stderr


def test_headless_opencv_is_the_one_in_use() -> None:
    """A service must not need libGL."""
    program = "import cv2; print([line for line in cv2.getBuildInformation().splitlines() if 'GUI' in line])"
    shown = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout

    assert "NONE" in shown


def test_missing_libgl_is_one_sentence_with_the_remedy(jetstream: Inside, tmp_path: Path) -> None:
    """The other OpenCV wheel's own words, from a stand-in for it."""
    (tmp_path / "cv2.py").write_text(
        'raise ImportError("libGL.so.1: cannot open shared object file: No such file or directory")'
    )
    command = [sys.executable, "-m", "jetstream.cli", "detect", "x.png"]
    environment = {**jetstream.environment, "PYTHONPATH": f"{tmp_path}:{REPOSITORY}"}

    result = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True)

    fails_with(result, 1, "pip install --force-reinstall --no-deps opencv-python-headless")


def test_installed_packages_are_the_pinned_ones() -> None:
    import importlib.metadata
    import re

    from packaging.requirements import Requirement

    wrong = []
    for line in (REPOSITORY / "constraints.txt").read_text().splitlines():
        requirement = Requirement(re.sub(r"\s+#.*", "", line))
        try:
            installed = importlib.metadata.version(requirement.name)
        except importlib.metadata.PackageNotFoundError:
            continue
        if (requirement.marker is None or requirement.marker.evaluate()) and installed not in requirement.specifier:
            wrong.append(f"{requirement}, found {installed}")
    assert wrong == []


def test_every_default_dependency_is_pinned_and_explained() -> None:
    import re

    import msgspec

    project = msgspec.toml.decode((REPOSITORY / "pyproject.toml").read_bytes())["project"]
    pinned = {line.split("==")[0] for line in (REPOSITORY / "constraints.txt").read_text().splitlines()}
    architecture = (REPOSITORY / "ARCHITECTURE.md").read_text()
    for dependency in project["dependencies"]:
        name = re.split(r"[><=; ]", dependency)[0]
        assert name in pinned, name
        assert re.search(rf"^\|[^|]*\b{re.escape(name)}\b[^|]*\|", architecture, re.MULTILINE), name
