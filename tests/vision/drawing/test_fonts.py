"""Fonts are found by what they have, in this machine's folders."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from jetstream.vision.drawing import fonts
from jetstream.vision.drawing.fonts import coverage, font_of, script_of


def dejavu() -> Path:
    """Comes with matplotlib."""
    (found,) = (path for path in fonts.files() if path.name == "DejaVuSans.ttf" and "mpl-data" in str(path))
    return found


@pytest.fixture
def only(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """only(path, ...): the machine has no other fonts."""

    def forget() -> None:
        for cached in (font_of, fonts._ranked, coverage):
            cached.cache_clear()

    def set_files(*paths: Path) -> None:
        monkeypatch.setattr(fonts, "files", lambda: paths)
        forget()

    yield set_files
    monkeypatch.undo()
    forget()


def test_ranges_are_those_of_the_font() -> None:
    ranges = coverage(dejavu())
    assert all(ranges.has(letter) for letter in "Aéßאםحمд")
    assert not any(ranges.has(letter) for letter in "ก李अ한\U0010fff0")


def test_font_named_after_the_script_comes_first(only: Callable[..., None], tmp_path: Path) -> None:
    names = ["Zed-Bold.ttf", "NotoSerifHebrew-Regular.ttf", "NotoSansHebrew-Bold.ttf", "NotoSansHebrew-Regular.ttf"]
    copies = [tmp_path / name for name in names]
    for copy in copies:
        copy.write_bytes(dejavu().read_bytes())
    only(*copies)
    assert font_of("א") == tmp_path / "NotoSansHebrew-Regular.ttf"
    assert font_of("Ж") in copies
    assert font_of("ก") is None


@pytest.mark.parametrize("share", [0, 0.0001, 0.001, 0.3])
def test_damaged_fonts_have_nothing(only: Callable[..., None], tmp_path: Path, share: float) -> None:
    whole = dejavu().read_bytes()
    bad = tmp_path / "bad.ttf"
    bad.write_bytes(whole[: int(len(whole) * share)])
    garbage = tmp_path / "garbage.ttc"
    garbage.write_bytes(b"ttcf" + bytes(range(256)) * 4)
    only(bad, garbage, tmp_path / "gone.otf")
    assert coverage(garbage) == coverage(tmp_path / "gone.otf") == fonts.Coverage()
    assert font_of("ก") is None


def test_folders_are_those_of_fontconfig(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    monkeypatch.setenv("XDG_DATA_DIRS", f"{tmp_path}/profile/share:")
    found = fonts.folders()
    assert {tmp_path / ".fonts", tmp_path / ".local/share/fonts", tmp_path / "profile/share/fonts"} <= set(found)


@pytest.mark.parametrize(
    ("cluster", "script"),
    [
        ("ก", "thai"),
        ("अ", "devanagari"),
        ("م", "arabic"),
        ("א", "hebrew"),
        ("한", "cjk"),
        ("李", "cjk"),
        ("😀", "emoji"),
    ],
)
def test_scripts_have_the_names_that_fonts_use(cluster: str, script: str) -> None:
    assert script_of(cluster) == script
