"""What training made of each person's photos, as a table for people and in words."""

from rich.table import Table
from rich.text import Text

from jetstream.gallery.report import GalleryReport, PersonReport
from jetstream.gallery.selection import ALIKE, CLOSE, ONE_PHOTO, WIDE
from jetstream.gallery.store import PhotoWarning
from jetstream.vision.recognition.curation import BLURRED, EXTREME_POSE, LOOKS_LIKE, SAME_PICTURE

UNKNOWN = "(unknown)"
"""the strangers' line"""


def table(report: GalleryReport, title: str) -> Table:
    """A line a person: photos used, spread, the nearest other person, and what was left out or is odd, if anything."""
    made = Table("person", title=Text(title, style="table.title"), title_justify="left")
    made.add_column("photos", justify="right", no_wrap=True)
    made.add_column("spread", justify="right", no_wrap=True)
    made.add_column("nearest other", overflow="fold")
    rows = [(person.name, person) for person in report.people]
    rows += [(UNKNOWN, report.unknown)] if report.unknown is not None else []
    texts = [(left_out, "left out"), (notes, "notes")]
    texts = [(text, heading) for text, heading in texts if any(text(person) for _, person in rows)]
    for _, heading in texts:
        made.add_column(heading, overflow="fold")
    made.caption, made.caption_justify = _calibration(report), "left"
    for name, person in rows:
        near = "-" if person.nearest is None else f"{person.nearest} {person.distance:.2f}"
        spread = "-" if person.spread is None else f"{person.spread:.2f}"
        cells = (name, str(person.used), spread, near, *(text(person) for text, _ in texts))
        made.add_row(*map(Text, cells))  # names may look like markup
    return made


def _calibration(report: GalleryReport) -> str | None:
    found = report.calibration
    if found is None or not any(person.used for person in report.people):
        return None
    parts = [f"{found.svm}; gates for {found.false_accept_rate:.2g} of strangers, on {found.strangers} invented ones"]
    if found.own_known is not None:
        parts.append(f"photos left out in turn: {found.own_known:.1%} known")
    if found.own_strangers is not None:
        parts.append(f"{found.own_strangers:.1%} taken for somebody else if their person weren't enrolled")
    return "; ".join(parts)


def left_out(person: PersonReport) -> str:
    """`blurred: a.jpg, b.jpg`, a line a code; the files without the person's folder."""
    codes: dict[str, list[str]] = {}
    for refused in person.refused:
        codes.setdefault(refused.code, []).append(_within(refused.file))
    if not codes and not person.used:
        return "no photo"
    return "\n".join(f"{code}: {', '.join(files)}" for code, files in codes.items())


def notes(person: PersonReport) -> str:
    """Warnings in words, a line each."""
    lines = [words(warned) for warned in person.warnings]
    if person.several:
        lines.append(f"several faces, the largest taken: {', '.join(map(_within, person.several))}")
    return "\n".join(lines)


def words(warned: PhotoWarning) -> str:
    """`1.jpg: the same picture is Bob/2.jpg`"""
    code, _, about = warned.code.partition(":")
    text = {
        ONE_PHOTO: "one photo only",
        WIDE: "photos differ much: two people, or wrong photos?",
        ALIKE: "photos all look alike: add other light, other days",
        CLOSE: f"hard to tell from {about}",
        LOOKS_LIKE: f"looks like {about}",
        SAME_PICTURE: f"the same picture is {about}",
        BLURRED: "blurred, but there is no better one",
        EXTREME_POSE: "a profile, but there is no better one",
    }.get(code, warned.code)
    return text if warned.file is None else f"{_within(warned.file)}: {text}"


def _within(file: str) -> str:
    return file.partition("/")[2]
