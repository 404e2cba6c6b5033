import io

import pytest
from rich.console import Console

from jetstream.gallery.other_files import NotTaken
from jetstream.gallery.report import GalleryReport, PersonReport, RefusedPhoto, words
from jetstream.gallery.store import Calibration, PhotoWarning
from jetstream.gallery.table import table


def shown(*people: PersonReport, unknown: PersonReport | None = None, width: int = 100) -> list[str]:
    page = io.StringIO()
    report = GalleryReport(people, (), (), embedded=0, unknown=unknown)
    Console(file=page, width=width, no_color=True).print(table(report, "faces"))
    return page.getvalue().splitlines()


def test_table_fits_a_narrow_terminal_with_names_and_files_of_any_length():
    refused = tuple(RefusedPhoto("duplicate", f"Ada/{'IMG_20260131_' * 3}{number}.jpg") for number in range(3))
    long = PersonReport("Augusta Ada King, Countess of Lovelace", 4, refused, (), 0.31, "Charles Babbage", 0.52)
    short = PersonReport("Bo", 1, (), ("Bo/1.jpg",), None, "Augusta Ada King, Countess of Lovelace", 0.6)

    lines = shown(long, short)

    assert max(map(len, lines)) <= 100
    assert any("several faces" in line for line in lines)


def test_columns_that_nobody_fills_are_left_out():
    lines = shown(PersonReport("Ada", 3, (), (), 0.3))

    assert [heading.strip() for heading in lines[2].split("┃")[1:-1]] == ["person", "photos", "spread", "nearest other"]


def test_person_without_a_photo_and_strangers_have_their_lines():
    lines = shown(
        PersonReport("Ada", 0, (), ()), unknown=PersonReport("", 2, (RefusedPhoto("no_face", "_unknown/3.jpg"),), ())
    )

    assert any(line.startswith("│ Ada") and "no photo" in line for line in lines)
    assert any(line.startswith("│ (unknown) │      2 │") and "no_face: 3.jpg" in line for line in lines)


def test_what_is_no_photo_has_a_line_for_each_code_and_floods_nothing():
    others = tuple(NotTaken("Ada", "video", f"Ada/{number}.mov", "") for number in range(500))
    others += (NotTaken("Ada", "folder", "Ada/holiday", ""),)

    lines = shown(PersonReport("Ada", 1, (RefusedPhoto("blurred", "Ada/1.jpg"),), (), not_taken=others), width=200)

    page = " ".join(line.strip("│ ") for line in lines)
    assert "blurred: 1.jpg" in page
    assert "video: 0.mov, 1.mov" in page
    assert "480 more" in page
    assert "folder: holiday" in page
    assert len(lines) < 20


@pytest.mark.parametrize(
    ("warned", "sentence"),
    [
        (PhotoWarning("one_photo"), "only one photo"),
        (PhotoWarning("wide"), "photos differ much: two people, or wrong photos?"),
        (PhotoWarning("alike"), "photos are all alike: add photos in other light, from other days"),
        (PhotoWarning("close:Bob: the second"), "hard to distinguish from Bob: the second"),
        (PhotoWarning("looks_like:Bob", "Ada/1.jpg"), "1.jpg: looks like Bob"),
        (PhotoWarning("same_picture:Bob/2.jpg", "Ada/1.jpg"), "1.jpg: the same picture as Bob/2.jpg"),
        (
            PhotoWarning("covered", "Ada/1.jpg"),
            "1.jpg: the face is covered: a mask, sunglasses, a hand? Add a photo without",
        ),
        (PhotoWarning("blurred", "Ada/1.jpg"), "1.jpg: blurred, but there is no better photo"),
        (PhotoWarning("extreme_pose", "Ada/1.jpg"), "1.jpg: a profile, but there is no better photo"),
    ],
)
def test_each_warning_has_words(warned, sentence):
    assert words(warned) == sentence


def test_names_that_look_like_markup_are_printed_as_they_are():
    ann = PersonReport("[red]Ann", 1, (RefusedPhoto("looks_like:B:", "[red]Ann/:smile:.jpg"),), (), 0.3, ":B:", 0.5)
    noted = PersonReport("a:smile:b", 1, (), (), 0.3, warnings=(PhotoWarning("looks_like::B:", "a:smile:b/1.jpg"),))
    page = io.StringIO()

    report = GalleryReport((ann, noted), (), (), embedded=0)
    Console(file=page, width=150, no_color=True).print(table(report, "faces/[bold]:smile:"))

    text = page.getvalue()
    for written in (
        "faces/[bold]:smile:",
        "[red]Ann",
        ":B: 0.50",
        "looks_like:B:: :smile:.jpg",
        "a:smile:b",
        "like :B:",
    ):
        assert written in text


def test_thresholds_without_strangers_are_not_said_to_be_measured():
    def caption(strangers: int) -> str:
        made = Calibration("linear SVM, C 1", strangers, false_accept_rate=0.003, own_known=None, own_strangers=None)
        report = GalleryReport((PersonReport("Ada", 3, (), ()),), (), (), embedded=0, calibration=made)
        return str(table(report, "faces").caption)

    assert caption(20000) == "linear SVM, C 1; thresholds name 0.003 of strangers, measured on 20000 invented ones"
    assert caption(0) == (
        "linear SVM, C 1; thresholds for 0.003 of strangers follow from the network's card, not measured"
    )
