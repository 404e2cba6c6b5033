"""Letters with their marks, and their order, for names of many scripts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jetstream.vision.drawing.graphemes import clusters, in_order, is_emoji, levels, one_line

FAMILY = "👨\u200d👩\u200d👧"


@pytest.mark.parametrize(
    "parts",
    [
        ["J", "o", "s", "é"],
        ["e\u0301", "x"],
        ["ที่", "รั", "ก"],
        ["น้ำ"],
        ["क्ष", "त्रि", "य"],
        ["நி", "தி"],
        [FAMILY, " ", "F"],
        ["👍🏽", "1️⃣", "❤️"],
        ["🇩🇪", "🇫🇷", "🇯🇵"],
        ["🏴\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f", "x"],
        ["\u1112\u1161\u11ab", "\u1100\u1173\u11af"],
        ["م", "حَ", "مّ", "د"],
        [],
    ],
)
def test_text_is_split_where_its_readers_would(parts: list[str]) -> None:
    assert clusters("".join(parts)) == parts


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\nb\tc", "a b c"),
        ("  Ada \r\n", "Ada"),
        ("Nguye\u0302\u0303n", "Nguyễn"),
        ("\u202eadA\u202c", "adA"),
        ("\ufeffAda\u200b\u2060", "Ada"),
        ("می\u200cشد", "می\u200cشد"),
        (FAMILY, FAMILY),
        ("\u2028\u0000", ""),
        ("Ada\ud800", "Ada"),
    ],
)
def test_a_name_is_one_line_without_marks_that_are_not_seen(text: str, shown: str) -> None:
    assert one_line(text) == shown


def drawn_order(text: str) -> str:
    parts = clusters(text)
    return "".join(parts[at] for at in in_order(levels(parts)))


@pytest.mark.parametrize(
    ("text", "from_left"),
    [
        ("abc", "abc"),
        ("אבג", "גבא"),
        ("אב גד", "דג בא"),
        ("Ada אב", "Ada בא"),
        ("אב Ada", "Ada בא"),
        ("אב 12", "12 בא"),
        ("אב 12 גד", "דג 12 בא"),
        ("Ada 12 אב", "Ada 12 בא"),
        ("א (ב)", ")ב( א"),  # the signs are turned when they are drawn
        ("12 אב", "בא 12"),
        ("Ada (אב) Bea", "Ada (בא) Bea"),
        ("😀 אב", "בא 😀"),
        ("123", "123"),
        ("", ""),
    ],
)
def test_runs_are_in_the_order_of_their_directions(text: str, from_left: str) -> None:
    assert drawn_order(text) == from_left


def test_what_is_drawn_in_colour_says_so() -> None:
    assert all(is_emoji(cluster) for cluster in (FAMILY, "😀", "1️⃣", "❤️", "🇩🇪", "👍🏽"))
    assert not any(is_emoji(cluster) for cluster in ("a", "1", "❤", "😀\ufe0e", "李", "ก"))


@given(st.text())
def test_nothing_is_lost(text: str) -> None:
    parts = clusters(text)
    assert "".join(parts) == text
    assert sorted(in_order(levels(parts))) == list(range(len(parts)))
    assert "\n" not in one_line(text)
