"""The result of `jetstream enroll` as a table and as sentences.

Knows no picture and no gallery.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from rich.cells import cell_len
from rich.table import Table
from rich.text import Text

from jetstream.enroll.enroll import Enrollment

COLUMNS: Final = ("photo", "from", "when", "face px", "quality", "distance")
BESIDE: Final = 48
"""Characters of a line outside the columns `photo` and `from`: borders and numbers."""
LEAST: Final = 6
"""Least characters of the column `from`."""


def table(name: str, enrolled: Enrollment, width: int) -> Table:
    """The photos taken, under COLUMNS, in at most `width` characters: the column `from` is shortened."""
    cells = list(rows(enrolled))
    room = max(LEAST, width - BESIDE - max(cell_len(photo) for photo, *_ in cells))
    made = Table(title=Text(name, style="table.title"))
    made.add_column(COLUMNS[0], overflow="fold")
    for heading in COLUMNS[1:]:
        made.add_column(heading, no_wrap=True)
    for photo, source, *numbers in cells:
        short = source if cell_len(source) <= room else f"\N{HORIZONTAL ELLIPSIS}{source[1 - room :]}"
        made.add_row(*map(Text, (photo, short, *numbers)))
    return made


def rows(enrolled: Enrollment) -> Iterator[tuple[str, ...]]:
    """A row of texts for each photo taken, under COLUMNS; file names without the person's folder."""
    for photo in enrolled.taken:
        when = "" if photo.time_s is None else f"{photo.time_s:.1f} s"
        numbers = (f"{photo.side_px:.0f}", f"{photo.quality:.2f}", f"{photo.distance:.2f}")
        yield Path(photo.file).name, photo.source, when, *numbers


def summary(enrolled: Enrollment) -> str:
    """A sentence such as `6 of 75 face samples taken; not taken: enough 40, duplicate 29`."""
    refused = ", ".join(f"{reason} {count}" for reason, count in enrolled.refused.items())
    samples = "1 face sample" if enrolled.seen == 1 else f"{enrolled.seen} face samples"
    return f"{len(enrolled.taken)} of {samples} taken" + (f"; not taken: {refused}" if refused else "")


def kept(enrolled: Enrollment, faces: Path) -> str:
    """A sentence for an enrolment that was interrupted before training."""
    count = len(enrolled.taken)
    photos, are = ("1 photo", "is") if count == 1 else (f"{count} photos", "are")
    folder = faces / Path(enrolled.taken[0].file).parent
    return f"{photos} {are} stored in {folder}; the next `jetstream train` or `run` learns from that folder"
