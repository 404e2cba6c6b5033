"""What `jetstream enroll` took, for a terminal.

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
"""Characters of a line that are neither the photo's nor of where it comes from: frames and numbers"""
LEAST: Final = 6
"""characters of where it comes from"""


def table(name: str, enrolled: Enrollment, width: int) -> Table:
    """The looks taken, under COLUMNS; what `width` characters don't hold is cut from where a photo comes from."""
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
    """The looks taken, in words, under COLUMNS; the photos' names without the person's folder."""
    for look in enrolled.taken:
        when = "" if look.time_s is None else f"{look.time_s:.1f} s"
        photo = Path(look.file).name
        yield photo, look.source, when, f"{look.side_px:.0f}", f"{look.quality:.2f}", f"{look.distance:.2f}"


def summary(enrolled: Enrollment) -> str:
    """`6 of 75 looks taken; not taken: enough 40, duplicate 29`"""
    refused = ", ".join(f"{reason} {count}" for reason, count in enrolled.refused.items())
    looks = "1 look" if enrolled.seen == 1 else f"{enrolled.seen} looks"
    return f"{len(enrolled.taken)} of {looks} taken" + (f"; not taken: {refused}" if refused else "")


def kept(enrolled: Enrollment, faces: Path) -> str:
    """What is left of an enrolment that was interrupted before its photos were learnt."""
    count = len(enrolled.taken)
    photos, are = ("1 photo", "is") if count == 1 else (f"{count} photos", "are")
    folder = faces / Path(enrolled.taken[0].file).parent
    return f"{photos} {are} kept in {folder}; the next `jetstream train` or `run` learns what is there"
