"""Names and files that look alike are alike: marks that nobody sees are taken off, those that scripts need stay."""

import unicodedata

import pytest

from jetstream.errors import UserError
from jetstream.gallery.photos import check_name
from jetstream.recording.library import normal
from jetstream.visible import decoded, trimmed, visible


@pytest.mark.parametrize(
    "mark",
    [
        "\u200b",  # zero-width space
        "\ufeff",
        "\u2060",
        "\u200c",
        "\u200d",
        "\u200e",
        "\u202a",
        "\u2066",
        "\u2069",
        "\u061c",
        "\u00ad",  # soft hyphen
        "\ufe0e",
        "\ufe0f",
        "\U000e0100",
        "\u034f",
        "\u115f",
        "\u3164",
        "\u180e",
    ],
    ids=lambda mark: f"U+{ord(mark):04X}",
)
def test_invisible_mark_makes_no_other_name(mark: str) -> None:
    for name in (f"{mark}Ada", f"A{mark}da", f"Ada{mark}", f"Ada {mark}"):
        assert check_name(name) == "Ada"
        assert normal(name) == "Ada"


@pytest.mark.parametrize("blank", ["\u00a0", "\u2007", "\u202f", "\u2003"])
def test_other_blanks_are_blanks(blank: str) -> None:
    assert check_name(f"{blank}Ada{blank}Lovelace{blank}") == "Ada Lovelace"


@pytest.mark.parametrize(
    "name",
    [
        "می‌خواهم",  # Persian, with U+200C
        "නන්‍දසේන",  # Sinhala, with U+200D
        "क्‍ष",
        "ন্‍",
        "👩‍👧",
        "👩🏽‍💻",
        "🏳️‍🌈",
        "👩‍❤️‍👨",
        "🏴\U000e0067\U000e0062\U000e0073\U000e0063\U000e0074\U000e007f",
        "1\ufe0f\u20e3",
        "邊\U000e0101",
        "山田\u3000太郎",
        "İpek Ağaoğlu",
        "Ἀθηνᾶ",
    ],
)
def test_what_scripts_and_emoji_need_stays(name: str) -> None:
    name = unicodedata.normalize("NFC", name)
    expected = name.rstrip("\u200c\u200d")  # nothing follows to be joined
    assert check_name(name) == expected


def test_only_ends_are_trimmed() -> None:
    assert trimmed("\ufeff\u00a0/a\u200b/b\u200b") == "/a\u200b/b"


def test_ascii_is_taken_as_it_is() -> None:
    assert visible(text := "Ada Lovelace\r\n") is text


@pytest.mark.parametrize("content", ["a".encode("utf-16"), "a".encode("utf-16-be"), b"a\0b\0"])
def test_utf_16_is_said(content: bytes) -> None:
    with pytest.raises(UserError, match=r"^c\.toml: is UTF-16 or no text; save it as UTF-8$"):
        decoded(content, "c.toml")


def test_latin_1_is_said() -> None:
    with pytest.raises(UserError, match=r"^c\.toml: isn't UTF-8; save it as UTF-8$"):
        decoded("é".encode("latin-1"), "c.toml")
