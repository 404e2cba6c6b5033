"""`jetstream evaluate`: every figure against a computation of the test's own, and what bad input gets."""

import io
import itertools
import json
import re
import shutil
from collections.abc import Sequence
from html.parser import HTMLParser
from pathlib import Path

import cv2
import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray
from rich.console import Console

from jetstream.errors import UserError
from jetstream.evaluation import charts, cross_validation, ground_truth, html_report, metrics, tables, video
from jetstream.evaluation.cross_validation import GalleryRows
from jetstream.evaluation.error_sheets import ErrorSheet, ErrorTile
from jetstream.evaluation.evaluate import Evaluation, ReportContext
from jetstream.evaluation.metrics import ProbeResult
from jetstream.events import Event, EventTrack
from jetstream.gallery import store, train
from jetstream.gallery import strangers as background
from jetstream.vision.recognition.classifier import Answer, Classifier
from tests.support import defaults
from tests.support.command import fails_with
from tests.support.inside import Inside
from tests.support.photos import COLLINS, HOPPER, looks
from tests.support.repository import REPOSITORY


def asked(person: str, known: bool, name: str | None, score: float, nearest: str = "Ada") -> ProbeResult:
    return ProbeResult(f"{person}/{score}.jpg", person, known, name, name or nearest, "Ada/1.jpg", 0.4, score)


def some_asked(seed: int, known: int = 80, strangers: int = 250) -> list[ProbeResult]:
    """Known faces with higher scores than strangers, one in ten of them nearer to somebody else."""
    random = np.random.default_rng(seed)
    found = []
    for score, other in zip(random.normal(2, 2, known).round(1), random.random(known) < 0.1, strict=True):
        who = "Bob" if other else "Ada"
        found.append(asked("Ada", True, who if score >= 0 else None, float(score), nearest=who))
    for score in random.normal(-3, 2, strangers).round(1):
        found.append(asked("Eve", False, "Ada" if score >= 0 else None, float(score)))
    return found


# ---- counting


@pytest.mark.parametrize(
    ("count", "of", "low", "high"),  # R: binom::binom.wilson
    [(0, 10, 0.0, 0.2775), (5, 10, 0.2366, 0.7634), (10, 10, 0.7225, 1.0), (1, 1000, 0.000177, 0.00564)],
)
def test_interval_is_wilsons(count: int, of: int, low: float, high: float) -> None:
    share = metrics.share(count, of)

    assert (share.low, share.high) == pytest.approx((low, high), abs=1e-4)


def test_ends_of_an_interval_are_round_in_json() -> None:
    assert b'"low":0.0,' in msgspec.json.encode(metrics.share(0, 12))
    for of in range(1, 200):
        assert metrics.share(of, of).high == 1.0


@pytest.mark.parametrize("of", [1, 2])
def test_one_is_not_several(of: int) -> None:
    told = [asked("Ada", True, None, -1.0)] * of + [asked("Eve", False, None, -2.0)] * of
    result = Evaluation("photos", "faces", "test", of, of, (), metrics.figures(told), None, tuple(told))
    text = f"{tables.title(result)} {tables.rows(result)}"

    assert f"{of} stranger{'s' * (of > 1)}: the least is {100 / of:.1f} %" in text
    assert f"{of} photo{'s' * (of > 1)} enrolled" in text


def test_names_are_no_markup_and_no_emoji_in_the_tables() -> None:
    name = "q[/b] [red]x[/red] :smile:"
    told = [asked(name, True, "Bob", 1.0), asked("Bob", True, None, -1.0)]
    result = Evaluation("photos", f"/home/{name}", name, 2, 2, (), metrics.figures(told), None, tuple(told))
    console = Console(width=300, file=io.StringIO())
    for table in tables.tables(result):
        console.print(table)
    shown = console.file.getvalue()  # type: ignore[attr-defined]

    assert f"/home/{name}: asked with {name}" in shown
    assert f"│ {name} " in shown


def test_share_of_nobody_is_none() -> None:
    assert metrics.share(0, 0).share is None


def test_score_is_not_negative_exactly_where_a_name_is_given() -> None:
    for confidence in (0.0, 1e-9, 0.499999, 0.5, 0.7, 1.0 - 1e-12, 1.0):
        answer = Answer("Ada" if confidence >= 0.5 else None, confidence, 0.4, "Ada")
        assert (metrics.score(answer) >= 0) == (answer.name is not None)


def test_score_rises_with_confidence_where_confidence_looks_like_one() -> None:
    scores = [metrics.score(Answer("Ada", confidence, 0.4, "Ada")) for confidence in (0.9, 0.999, 1 - 1e-9, 1.0)]

    assert scores == sorted(set(scores))


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("rate", [0.1, 0.01, 0.004])
def test_identification_rate_is_the_best_that_any_threshold_gives(seed: int, rate: float) -> None:
    sample = some_asked(seed)
    strangers = [one.score for one in sample if not one.known]
    best = max(
        sum(one.known and one.nearest == one.person and one.score > threshold for one in sample)
        for threshold in [one.score for one in sample]
        if sum(score > threshold for score in strangers) <= rate * len(strangers)
    )

    found = metrics.at_rate(sample, rate)

    assert found.right is not None
    assert found.right.count == best
    assert found.right.of == 80
    assert found.strangers_named <= rate * 250


def test_rate_finer_than_the_strangers_is_not_told() -> None:
    assert metrics.at_rate(some_asked(1), 0.001).right is None
    assert metrics.at_rate(some_asked(1, strangers=999), 0.001).right is None
    assert metrics.at_rate(some_asked(1, strangers=1000), 0.001).right is not None
    assert metrics.at_rate(some_asked(1, strangers=0), 0.0).right is None


def test_curve_agrees_with_the_rates() -> None:
    sample = some_asked(3)
    accepted, right = metrics.curve(sample)

    assert (accepted[0], accepted[-1]) == (0.0, 1.0)
    assert (np.diff(accepted) > 0).all()
    assert (np.diff(right) >= 0).all()
    for rate in (0.0, 0.01, 0.1):
        told = metrics.at_rate(sample, rate).right
        assert told is not None
        assert right[accepted <= rate].max() == told.share


def test_figures_count_every_face_once() -> None:
    sample = [
        asked("Ada", True, "Ada", 3.0),
        asked("Ada", True, "Bob", 1.0),
        asked("Bob", True, None, -1.0),
        asked("Bob", False, "Ada", 0.5),
        asked("Eve", False, None, -2.0),
    ]
    figures = metrics.figures(sample)

    shares = (figures.right, figures.wrong, figures.unknown, figures.strangers_named)
    assert [(share.count, share.of) for share in shares] == [(1, 3), (1, 3), (1, 3), (1, 2)]
    assert {(one.person, one.name): one.count for one in figures.confusion} == {
        ("Ada", "Ada"): 1,
        ("Ada", "Bob"): 1,
        ("Bob", None): 1,
        (None, "Ada"): 1,
        (None, None): 1,
    }
    ada, bob, eve = figures.people
    assert (ada.name, ada.right, ada.wrong, ada.unknown, ada.as_stranger, ada.drawn) == ("Ada", 1, 1, 0, 0, 1)
    assert (bob.name, bob.unknown, bob.named_as_stranger, bob.as_stranger, bob.drawn) == ("Bob", 1, 1, 1, 1)
    assert (eve.asked, eve.named_as_stranger, eve.as_stranger) == (0, 0, 1)


# ---- cross-validation


def people_around(photos: dict[str, int], seed: int = 0) -> GalleryRows:
    """Embeddings of people at 0.9 from one another, each with photos at about 0.4 from the middle."""
    random = np.random.default_rng(seed)
    rows, names = [], []
    for name, count in photos.items():
        middle = random.normal(0, 0.9 / np.sqrt(256), 128)
        rows += [middle + random.normal(0, 0.4 / np.sqrt(128), 128) for _ in range(count)]
        names += [name] * count
    files = tuple(f"{name}/{row}.jpg" for row, name in enumerate(names))
    return GalleryRows(np.array(rows, np.float32), tuple(names), files)


def plain_fit(embeddings: NDArray[np.float32], people: Sequence[str]) -> Classifier:
    return defaults.fit(embeddings, people)


@pytest.mark.parametrize("photos", [{"Ada": 5, "Bob": 3, "Cy": 1}, {"Ada": 40, "Bob": 30, "Cy": 2}])
def test_nobody_is_asked_of_a_gallery_that_saw_the_photo(photos: dict[str, int]) -> None:
    sample = people_around(photos)
    learnt: list[tuple[set[bytes], set[str]]] = []

    def fit(embeddings: NDArray[np.float32], people: Sequence[str]) -> Classifier:
        learnt.append(({row.tobytes() for row in embeddings}, set(people)))
        return defaults.fit(embeddings, people)

    parts = [(rows, True) for rows in cross_validation.folds(sample.people)]
    parts += [(rows, False) for rows in cross_validation.groups(sample.people)]
    cross_validation.cross_validate(sample, fit)

    assert len(learnt) == len(parts)
    for (rows, known), (seen, people) in zip(parts, learnt, strict=True):
        assert not seen & {sample.embeddings[row].tobytes() for row in rows}
        assert {sample.people[row] in people for row in rows} == {known}
    asked_known = sorted(row for rows, known in parts if known for row in rows.tolist())
    assert asked_known == [row for row, name in enumerate(sample.people) if name != "Cy" or photos["Cy"] > 1]
    asked_as_strangers = sorted(row for rows, known in parts if not known for row in rows.tolist())
    assert asked_as_strangers == list(range(len(sample.people)))


def test_answers_are_those_of_a_gallery_without_each_photo() -> None:
    sample = people_around({"Ada": 4, "Bob": 3, "Cy": 2, "Di": 1})
    names = np.array(sample.people)
    found = cross_validation.cross_validate(sample, plain_fit)

    for row, name in enumerate(sample.people):
        without_photo = np.arange(len(names)) != row
        for known, kept in ((True, without_photo), (False, names != name)):
            (answer,) = defaults.fit(sample.embeddings[kept], names[kept].tolist()).ask(sample.embeddings[[row]])
            same = [one for one in found if one.file == sample.files[row] and one.known == known]
            assert [one.name for one in same] == ([answer.name] if name != "Di" or not known else [])
    nearest = {one.photo for one in found if one.photo is not None}
    assert nearest <= set(sample.files)
    assert all(one.photo != one.file for one in found)
    for one in found:
        if one.photo is not None:
            mine = [r for r, n in enumerate(sample.people) if n == one.nearest and sample.files[r] != one.file]
            row = sample.files.index(one.file)
            distances = np.linalg.norm(sample.embeddings[mine] - sample.embeddings[row], axis=1)
            assert one.photo == sample.files[mine[int(distances.argmin())]]


def test_many_people_are_left_out_in_a_bounded_number_of_groups() -> None:
    names = [f"{number}" for number in range(1000) for _ in range(3)]

    assert len(cross_validation.folds(names)) == cross_validation.FOLDS
    groups = cross_validation.groups(names)
    assert len(groups) == cross_validation.GROUPS
    assert sorted(np.concatenate(groups).tolist()) == list(range(3000))
    assert any("1000 people were left out in 20 groups" in note for note in cross_validation.notes(people_of(names)))


def people_of(names: list[str]) -> GalleryRows:
    return GalleryRows(np.zeros((len(names), 128), np.float32), tuple(names), tuple(names))


@pytest.mark.parametrize(
    ("photos", "known", "strangers"),
    [({"Ada": 1}, 0, 0), ({"Ada": 3}, 3, 0), ({"Ada": 1, "Bob": 1}, 0, 2), ({"Ada": 2, "Bob": 1}, 2, 3)],
)
def test_small_galleries_are_asked_what_they_can_be(photos: dict[str, int], known: int, strangers: int) -> None:
    found = cross_validation.cross_validate(people_around(photos), plain_fit)

    assert sum(one.known for one in found) == known
    assert sum(not one.known for one in found) == strangers


# ---- video

SHOTS = {
    "size": [200, 100],
    "inside": [10, 190],
    "shots": [
        {"first": 0, "last": 1, "left": "Ada", "right": "Bob"},
        {"first": 2, "last": 3, "left": "Eve", "right": "Bob"},
    ],
}


def track(number: int, x: float, name: str | None) -> EventTrack:
    box = (x - 5, 10.0, x + 5, 20.0)
    return EventTrack(
        track_id=number, state="confirmed", box=box, score=1.0, landmarks=None, name=name, confidence=1.0, age_s=0.0
    )


def event(frame_id: int, *tracks: EventTrack) -> Event:
    return Event(
        schema=1, camera="c", frame_id=frame_id, pts_s=0.4 * frame_id, captured_ns=0, wall="", tracks=tuple(tracks)
    )


EVENTS = [
    event(0, track(1, 50, None), track(2, 150, "Bob"), track(9, 195, "Ada")),  # 9: outside, nobody's
    event(1, track(1, 50, "Ada"), track(2, 150, "Ada")),  # Bob is called Ada
    event(2, track(3, 50, "Ada"), track(4, 150, None)),  # a stranger bears Ada's name, who is gone
    event(3, track(3, 50, None), track(4, 150, "Bob")),
]


def test_shots_are_counted_by_hand() -> None:
    told = ground_truth.parse(json.dumps(SHOTS).encode())
    figures = video.figures(EVENTS, told, known={"Ada", "Bob"}, after_s=(0.0, 0.4))

    whole, later = figures.counted
    # Ada: unknown, right; Bob: right, wrong, unknown, right; Eve isn't known: one of her two boxes is named
    assert [share.count for share in (whole.right, whole.wrong, whole.unknown)] == [3, 1, 2]
    assert (whole.strangers_named.count, whole.strangers_named.of) == (1, 2)
    assert [share.count for share in (later.right, later.wrong, later.unknown)] == [2, 1, 0]
    assert (figures.frames, figures.boxes) == (4, 9)
    assert figures.name_changes == 2  # track 2: Bob to Ada; 3: Ada to unknown
    assert (figures.old_names, figures.old_names_longest) == (1, 1)
    assert [(one.name, one.since, one.after_s) for one in figures.first_right] == [
        ("Ada", 0, 0.4),
        ("Bob", 0, 0.0),
        ("Bob", 2, 0.4),
    ]


LOST_EVENTS = [
    event(0, track(1, 50, "Ada"), track(2, 150, "Bob")),
    event(1, track(2, 150, "Bob"), msgspec.structs.replace(track(1, 40, "Ada"), state="lost")),
    event(2, track(2, 150, "Ada")),
]


@pytest.mark.parametrize("form", ["events", "shots"])
def test_lost_box_of_somebody_gone_is_no_old_name(form: str) -> None:
    """Its box says itself that nobody is seen there; the one in sight, over somebody else's face, is."""
    told = b"\n".join(map(msgspec.json.encode, [*LOST_EVENTS[:2], event(2, track(2, 150, "Bob"))]))
    if form == "shots":
        both = [
            {"first": 0, "last": 0, "left": "Ada", "right": "Bob"},
            {"first": 1, "last": 2, "left": None, "right": "Bob"},
        ]
        told = json.dumps({"size": [200, 100], "shots": both}).encode()
    figures = video.figures(LOST_EVENTS, ground_truth.parse(told), known={"Ada", "Bob"})

    assert (figures.old_names, figures.old_names_longest) == (1, 1)
    assert figures.counted[0].wrong.count == 1


def box_truth(frame: int, **people: float) -> dict[str, object]:
    faces = [{"box": [x - 4, 10, x + 4, 20], "name": None if who == "nobody" else who} for who, x in people.items()]
    return {"frame": frame, "faces": faces}


BOXES = [box_truth(0, Ada=50, Bob=150, nobody=100), box_truth(1, Ada=150, Bob=50), box_truth(3, Bob=150)]


@pytest.mark.parametrize("lines", [False, True], ids=["a list", "lines"])
def test_boxes_are_counted_by_hand(lines: bool) -> None:
    text = "\n".join(json.dumps(frame) for frame in BOXES) if lines else json.dumps(BOXES, indent=1)
    figures = video.figures(EVENTS, ground_truth.parse(text.encode()), known={"Ada", "Bob"})

    whole = figures.counted[0]
    # frame 0: Ada unknown, Bob right; 1: Bob called Ada, Ada right; 3: Bob right; frame 2 isn't in the truth
    assert [share.count for share in (whole.right, whole.wrong, whole.unknown)] == [3, 1, 1]
    assert whole.strangers_named.of == 0
    assert figures.missed == 1  # nobody at 100
    assert [(one.name, one.after_s) for one in figures.first_right] == [("Ada", 0.4), ("Bob", 0.0)]


def test_corrected_events_are_a_truth() -> None:
    text = b"\n".join(
        json.dumps({"frame_id": e.frame_id, "tracks": [{"box": t.box, "name": "Ada"} for t in e.tracks]}).encode()
        for e in EVENTS
    )
    (whole, *_) = video.figures(EVENTS, ground_truth.parse(text), known={"Ada"}).counted

    assert [share.count for share in (whole.right, whole.wrong, whole.unknown)] == [4, 2, 3]


def test_truths_of_the_readme_are_truths() -> None:
    readme = (REPOSITORY / "README.md").read_text()
    section = readme[readme.index("## How well") : readme.index("## Recording and replay")]
    found = [ground_truth.parse(text.encode()) for text in re.findall(r"```json\n(.*?)```", section, re.DOTALL)]

    assert [told.names for told in found] == [{"Ada Lovelace"}, {"Ada Lovelace", "Charles Babbage"}]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "no json",
        '{"frame": 1}',
        '[{"frame": 1, "faces": [{"box": [1, 2, 3], "name": "Ada"}]}]',
        '[{"frame": "one", "faces": []}]',
        '{"shots": [], "size": [1, 1]}',
        '{"shots": [{"first": 0, "last": 5, "left": "Ada", "right": "Bob"}]}',
        '{"size": [9, 9], "shots": [{"first": 9, "last": 5, "left": "Ada", "right": "Bob"}]}',
        "\xff",
    ],
)
def test_damaged_truth_is_one_sentence(tmp_path: Path, text: str) -> None:
    path = tmp_path / "truth.json"
    path.write_bytes(text.encode("latin-1"))

    with pytest.raises(UserError, match=r"--truth .*truth\.json: .*expected \{") as caught:
        ground_truth.load(path)
    assert "\n" not in str(caught.value)


def test_truth_of_another_video_is_said() -> None:
    told = ground_truth.parse(json.dumps([box_truth(500, Ada=1)]).encode())

    with pytest.raises(UserError, match="frames 500 to 500, the video has 0 to 9"):
        video.check(told, {"Ada"}, 10, "truth.json")
    with pytest.raises(UserError, match=r"nobody of the gallery is in it \(Ada\)"):
        video.check(told, {"Bob"}, 501, "truth.json")


# ---- the page


class Loads(HTMLParser):
    """Everything that a browser would fetch, and every element."""

    def __init__(self) -> None:
        super().__init__()
        self.fetched: list[str] = []
        self.elements: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.add(tag)
        self.fetched += [value or "" for name, value in attrs if name in ("src", "href", "srcset", "action", "data")]


EVIL = '<script>alert(1)</script><img src="http://example.com/x.png">$\\frac$ 李'


def evil_page(asked: list[ProbeResult]) -> str:
    result = Evaluation("cross-validation", EVIL, None, 2, 9, (EVIL,), metrics.figures(asked), None, tuple(asked))
    return html_report.page(result, ReportContext([ErrorSheet(EVIL, (ErrorTile(None, None, (EVIL,)),), 1)], []))


def test_page_needs_nothing_else_and_escapes_names() -> None:
    parsed = Loads()
    text = evil_page([one.__class__(**{**as_dict(one), "person": EVIL}) for one in some_asked(1)])
    parsed.feed(text)

    assert parsed.elements.isdisjoint({"script", "link", "iframe", "object", "base"})
    assert len(parsed.fetched) == 3  # ROC, DET, histogram
    assert all(source.startswith("data:image/svg+xml;base64,") for source in parsed.fetched)
    assert "url(" not in text
    assert "@import" not in text


def as_dict(one: ProbeResult) -> dict[str, object]:
    return {name: getattr(one, name) for name in one.__struct_fields__}


def test_page_of_many_people_shows_those_with_mistakes() -> None:
    fine = [asked(f"P{number:03}", True, f"P{number:03}", 3.0) for number in range(200)]
    text = evil_page([*fine, asked("P007", True, "P008", 1.0)])
    matrix = text[text.index("class=matrix") :]

    assert "<th class=row>P007</th>" in matrix
    assert "P100" not in matrix
    assert "199 people" in text


@pytest.mark.parametrize("kinds", [(True,), (False,), ()])
def test_page_is_made_of_one_kind_of_faces_alone(kinds: tuple[bool, ...]) -> None:
    text = evil_page([one for one in some_asked(1) if one.known in kinds])

    assert "ROC curve" not in text
    assert ("Histogram" in text) == bool(kinds)


def test_chart_of_the_same_answers_is_the_same() -> None:
    assert charts.histogram(some_asked(1)) == charts.histogram(some_asked(1))


# ---- the command, on portraits


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

    stored = store.read(train.gallery_dir(faces, jetstream.models))
    embeddings, names = stored.arrays["embeddings"], np.array([photo.person for photo in stored.manifest.photos])
    expected = {}
    for row, name in enumerate(names):
        for known, kept in ((True, np.arange(len(names)) != row), (False, names != name)):
            classifier = defaults.fit(embeddings[kept], names[kept].tolist(), background=background.faces())
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
    result = jetstream("evaluate", sets=True)
    report = jetstream.folder / "evaluation.html"

    assert result.returncode == 0, result.stderr
    assert "known people named right" in result.stdout
    assert "6 strangers: the least is 16.7 %" in result.stdout
    assert report.stat().st_mode & 0o777 == 0o600
    assert "evaluation.html" in result.stderr
    parsed = Loads()
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

    told = evaluated(jetstream, "--test", "test", "--out", "report.html")

    assert {one["file"]: (one["known"], one["name"]) for one in told["asked"]} == {
        f"{COLLINS}/3.png": (True, COLLINS),
        f"{HOPPER}/3.png": (False, None),
        f"{COLLINS.lower()}/1.png": (False, None),
        "_unknown/1.png": (False, None),
    }
    assert (
        f"test/{COLLINS.lower()} was taken for strangers: the gallery knows {COLLINS}, spelt otherwise."
        in told["notes"]
    )
    assert "Not asked: 1 picture lies in no person's folder (loose.png)." in told["notes"]
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

    told = evaluated(jetstream, "--test", "clip.avi", "--truth", "truth.json", "--out", "report.html")["video"]

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
    fails_with(jetstream("evaluate", "--faces", "nobody", sets=True), 2, "nobody to know")
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
    fails_with(jetstream(*words, sets=True), 2, "--out truth.json: the report can't take the place of this")
    assert (folder / "truth.json").read_text() == "{"
    shutil.copy(faces / COLLINS / "0.png", folder / "nobody")
    fails_with(
        jetstream("evaluate", "--test", "nobody", sets=True), 2, "--test nobody: 1 picture lies in no person's folder"
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
    fails_with(jetstream(*words, sets=True), 2, "no face of this video lies where")


# ---- on real faces


def test_real_people_are_measured_as_a_plain_loop_measures_them(
    jetstream: Inside, data_dir: Path, tmp_path: Path
) -> None:
    people = sorted((data_dir / "lfw10x10").iterdir())
    for number, folder in itertools.product(range(6), people[:4]):
        (tmp_path / "faces" / folder.name).mkdir(parents=True, exist_ok=True)
        photo = sorted(folder.iterdir())[number]
        shutil.copy(photo, tmp_path / "faces" / folder.name)
    told = evaluated(jetstream)["figures"]

    stored = store.read(train.gallery_dir(tmp_path / "faces", jetstream.models))
    used = [photo for photo in stored.manifest.photos if photo.row is not None]
    embeddings, names = stored.arrays["embeddings"], np.array([photo.person for photo in used])
    right = named = 0
    for row, name in enumerate(names):
        for known, kept in ((True, np.arange(len(names)) != row), (False, names != name)):
            classifier = defaults.fit(embeddings[kept], names[kept].tolist(), background=background.faces())
            (answer,) = classifier.ask(embeddings[[row]])
            right += known and answer.name == name
            named += not known and answer.name is not None
    assert (told["right"]["count"], told["right"]["of"]) == (right, len(names))
    assert (told["strangers_named"]["count"], told["strangers_named"]["of"]) == (named, len(names))
    assert right >= 0.9 * len(names)


def test_real_video_is_counted_as_a_plain_loop_counts_it(jetstream: Inside, data_dir: Path) -> None:
    shots = json.loads((data_dir / "video" / "friends_dev.json").read_text()) | {"inside": [60, 1090]}
    (jetstream.folder / "truth.json").write_text(json.dumps(shots))
    clip, refs = str(data_dir / "video" / "friends_dev.mp4"), str(data_dir / "friends_refs")
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
