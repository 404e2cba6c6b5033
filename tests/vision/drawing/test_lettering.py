"""Names of many scripts as pictures: shaped, in the right order, cut where their readers would."""

import logging
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jetstream.vision.drawing import draw, fonts, lettering
from jetstream.vision.drawing.graphemes import clusters, one_line
from jetstream.vision.drawing.lettering import Line, cut, drawn, is_simple, width
from tests.support.drawn import DrawnTrack

LINE = Line(24, 32, 25)
FAMILY = "👨\u200d👩\u200d👧"
NAMES = {
    "arabic": "محمد علي",
    "hebrew": "יוסף כהן",
    "thai": "สมชาย ที่รัก",
    "devanagari": "अमित शर्मा",
    "bengali": "বাংলা",
    "tamil": "நந்தினி",
    "georgian": "ქართული",
    "armenian": "Հայկ",
    "ethiopic": "አበበ",
    "myanmar": "မြန်မာ",
    "khmer": "ខ្មែរ",
    "emoji": FAMILY,
}


def has_font(text: str) -> None:
    """Skip the test where no font has the text."""
    for cluster in clusters(text):
        if not cluster.isspace() and not is_simple(cluster) and fonts.font_of(cluster) is None:
            script = fonts.script_of(cluster)
            pytest.skip(f"no font here has {script}; install {fonts.package_of(script)}")


def needs_raqm() -> None:
    if not lettering.shapes():
        pytest.skip("Pillow has no raqm here; install libfribidi0")


def forget() -> None:
    cached = (fonts.font_of, fonts._ranked, drawn, cut, lettering._tell_missing, lettering._tell_unshaped)
    for function in (*cached, lettering.shapes, lettering._loaded, draw._kept_plate):
        function.cache_clear()  # type: ignore[attr-defined]


@pytest.fixture
def fresh() -> Iterator[None]:
    """Nothing is remembered from before or for later."""
    forget()
    yield
    forget()


def ink(text: str) -> np.ndarray:
    return drawn(text, LINE).ink


def trimmed(image: np.ndarray) -> np.ndarray:
    columns = np.flatnonzero(image.any(axis=0))
    return image[:, columns[0] : columns[-1] + 1]


@pytest.mark.parametrize("script", NAMES)
def test_every_script_is_drawn_with_its_own_letters(script: str) -> None:
    name = NAMES[script]
    has_font(name)
    image = ink(name)
    assert image.shape[0] == LINE.height
    assert image.any()
    marks = "".join(" " if cluster.isspace() else "?" for cluster in clusters(name))
    assert image.shape != ink(marks).shape or (image != ink(marks)).any()
    assert not image[:, -1].all()


def test_latin_and_chinese_stay_opencvs() -> None:
    assert all(
        is_simple(name) for name in ("Ada Lovelace", "José Ñandú", "Ирина", "Ελένη", "李小龙", "김철수", "さくら")
    )
    assert not any(is_simple(name) for name in (*NAMES.values(), "😀 Ada", "e\u0301\u0323"))


def test_hebrew_begins_at_the_right() -> None:
    needs_raqm()
    both, first = trimmed(ink("אג")), trimmed(ink("א"))
    assert np.abs(both[:, -first.shape[1] :].astype(int) - first).mean() < 8
    mixed = ink("Ada אג")
    assert np.array_equal(mixed[:, : width("Ada", 24) // 2], ink("Ada א")[:, : width("Ada", 24) // 2])


def test_arabic_is_joined() -> None:
    needs_raqm()
    columns = trimmed(ink("محمد")).max(axis=0)
    assert columns.all(), "no gap between joined letters"
    assert not trimmed(ink("م\u200cح\u200cم\u200cد")).max(axis=0).all(), "a mark keeps letters apart"


def test_thai_marks_stand_above_their_letter() -> None:
    has_font("ที่")
    needs_raqm()
    assert width("ที่", 24) == width("ท", 24)


def test_devanagari_conjuncts_are_one() -> None:
    has_font("क्ष")
    needs_raqm()
    assert width("क्ष", 24) < width("क", 24) + width("ष", 24)


def test_emoji_are_coloured_and_one_picture_each() -> None:
    has_font("😀")
    needs_raqm()
    if not drawn("😀", LINE).has_colours.any():
        pytest.skip("the only font with emoji here has no coloured ones")
    face = drawn("😀", LINE)
    assert face.has_colours.mean() > 0.3
    blue, green, red = face.colours[face.has_colours].mean(axis=0)
    assert red > green > blue, "a yellow face"
    assert width(FAMILY, 24) == width("😀", 24) == width("👍🏽", 24)
    assert drawn("😀 Ada", LINE).ink.shape[1] < width("😀", 24) + width("Ada", 24) + 24


def test_brackets_are_turned_between_right_to_left_letters() -> None:
    bracket = trimmed(lettering._plain("(", LINE).ink)
    first = trimmed(ink("(אב)"))[:, : bracket.shape[1]]
    assert np.abs(first.astype(int) - bracket).mean() < 8


@pytest.mark.parametrize("name", [*NAMES.values(), "x" * 80, FAMILY * 9, "🇩🇪" * 20, "สมชาย" * 12, "李小龙" * 20])
def test_long_names_are_cut_between_letters(name: str) -> None:
    long = name * 30
    short = cut(long, 20, 150)
    assert width(short, 20) <= 150
    assert short.endswith("…")
    assert clusters(long)[: len(clusters(short)) - 1] == clusters(short)[:-1]
    assert cut(name, 20, 10_000) == name


def test_script_without_a_font_is_said_once_and_drawn_as_question_marks(
    fresh: None, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(fonts, "files", lambda: ())
    with caplog.at_level(logging.WARNING):
        for name in ("สมชาย", "สมหญิง", "😀", "สมชาย"):
            image = drawn(name, LINE).ink
    assert np.array_equal(drawn("สม", LINE).ink, lettering._plain("??", LINE).ink)
    assert image.any()
    assert [record.getMessage() for record in caplog.records] == [
        "no font here has Thai: names in it are drawn as ?; install one, such as the package fonts-noto-core, "
        "and start again",
        "no font here has emoji: names in it are drawn as ?; install one, such as the package fonts-noto-color-emoji, "
        "and start again",
    ]


def test_without_raqm_the_order_is_right_and_it_is_said_once(
    fresh: None, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(lettering, "shapes", lambda: False)
    with caplog.at_level(logging.WARNING):
        both, first = trimmed(ink("אג")), trimmed(ink("א"))
    assert np.abs(both[:, -first.shape[1] :].astype(int) - first).mean() < 8
    (record,) = caplog.records
    assert "install the package libfribidi0" in record.getMessage()
    monkeypatch.undo()


@pytest.mark.parametrize("share", [0.35, 0.6, 0.9, 0.999])
def test_damaged_font_is_no_failure(fresh: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, share: float) -> None:
    whole = fonts.font_of("א")
    assert whole is not None
    data = whole.read_bytes()
    bad = tmp_path / "bad.ttf"
    bad.write_bytes(data[: int(len(data) * share)])
    monkeypatch.setattr(fonts, "font_of", lambda cluster: bad)
    assert ink("אב").shape[0] == LINE.height


def test_font_that_draws_nothing_counts_as_none(
    fresh: None, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Such as one whose coloured pictures are of a kind that Pillow doesn't read; here: a letter without ink."""
    font = next(path for path in fonts.files() if path.name == "DejaVuSans.ttf")
    monkeypatch.setattr(fonts, "font_of", lambda cluster: font)
    with caplog.at_level(logging.WARNING):
        assert np.array_equal(ink("\u2800"), lettering._plain("?", LINE).ink)
    assert "no font here has Braille" in caplog.text


@settings(max_examples=150, deadline=None)
@given(st.text(max_size=12))
def test_any_name_is_a_picture_as_high_as_the_line(text: str) -> None:
    name = one_line(text)
    if name and not is_simple(name):
        letters = drawn(name, LINE)
        assert letters.ink.shape == letters.has_colours.shape == letters.colours.shape[:2]
        assert letters.ink.shape[0] == LINE.height


@pytest.mark.parametrize("size", [(720, 1280), (48, 64), (9, 9), (1, 1), (2160, 400)])
@pytest.mark.parametrize("name", ["Ada", "محمد علي", "x" * 200, "😀", "\n", None])
def test_labels_stay_inside_at_every_border(size: tuple[int, int], name: str | None) -> None:
    height, width_px = size
    for x in (-50.0, 0.0, width_px - 2.0, width_px + 50.0):
        for y in (-50.0, 0.0, 3.0, height - 1.0, height + 50.0):
            image = np.full((*size, 3), 90, np.uint8)
            draw.faces(image, [DrawnTrack((x, y, x + 40, y + 40), name)], landmarks=False)
            draw.caption(image, "door 25 fps")


def test_a_name_at_the_right_border_is_shown_whole() -> None:
    image = np.full((360, 640, 3), 90, np.uint8)
    draw.faces(image, [DrawnTrack((600.0, 100.0, 630.0, 140.0), "محمد علي")], landmarks=False)
    expected = draw._plate("محمد علي", " 90%", 10, 320, draw.KNOWN)
    assert np.array_equal(image[82:100, -expected.shape[1] :], expected)


def test_letters_of_a_shaped_name_have_the_ink_on_the_plate() -> None:
    image = np.full((720, 1280, 3), 200, np.uint8)
    draw.faces(image, [DrawnTrack((100.0, 200.0, 200.0, 300.0), "יוסף")], landmarks=False)
    label = image[172:200, 104:150]
    assert np.abs(label.astype(int) - draw.INK).sum(axis=2).min() < 60
    assert (label == draw.KNOWN).all(axis=2).mean() > 0.3


def test_doubtful_track_is_drawn_as_faintly_as_a_lost_one() -> None:
    pictures = {}
    for state, doubtful in (("confirmed", False), ("confirmed", True), ("lost", True)):
        image = np.zeros((240, 320, 3), np.uint8)
        draw.faces(image, [DrawnTrack((100, 100, 200, 200), None, state, doubtful=doubtful)], landmarks=False)
        pictures[state, doubtful] = image
    assert (pictures["confirmed", True] == pictures["lost", True]).all()
    assert (pictures["confirmed", True] != pictures["confirmed", False]).any()
