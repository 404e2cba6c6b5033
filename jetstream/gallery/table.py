"""The report on a gallery as a table for a terminal, and its notes as text.

Knows no file and no embedding.
"""

from rich.table import Table
from rich.text import Text

from jetstream.gallery.photos import COUNTER_EXAMPLES
from jetstream.gallery.report import GalleryReport, PersonReport, words

UNKNOWN = "(unknown)"
"""Heading of the strangers' line."""
MOST_OTHERS = 20
"""Names of files that are no photos, for each person and code; --json lists all of them."""


def table(report: GalleryReport, title: str) -> Table:
    """A line for each person: photos used, spread, the nearest other person, and refused photos and notes, if any."""
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
    rate = f"{found.false_accept_rate:.2g}"
    measured = f"thresholds name {rate} of strangers, measured on {found.strangers} invented ones"
    if not found.strangers:  # an added network of which the spread of strangers isn't known
        measured = f"thresholds for {rate} of strangers follow from the network's card, not measured"
    parts = [f"{found.svm}; {measured}"]
    if found.own_known is not None:
        parts.append(f"each photo tested without itself: {found.own_known:.1%} recognised")
    if found.own_strangers is not None:
        parts.append(f"{found.own_strangers:.1%} would get another name if their person were not enrolled")
    return "; ".join(parts)


def left_out(person: PersonReport) -> str:
    """The refused photos and what is no photo, a line for each code: `blurred: a.jpg, b.jpg`; file names without the
    person's folder."""
    codes: dict[str, list[str]] = {}
    for refused in person.refused:
        codes.setdefault(refused.code, []).append(_within(refused.file))
    lines = [f"{code}: {', '.join(files)}" for code, files in codes.items()]
    if not codes and not person.used:
        lines.append("no photo")
    others: dict[str, list[str]] = {}
    for other in person.not_taken:
        others.setdefault(other.code, []).append(_within(other.file))
    for code, files in others.items():
        more = f" and {len(files) - MOST_OTHERS} more" if len(files) > MOST_OTHERS else ""
        lines.append(f"{code}: {', '.join(files[:MOST_OTHERS])}{more}")
    return "\n".join(lines)


def notes(person: PersonReport) -> str:
    """The warnings as text, a line for each."""
    lines = [words(warning) for warning in person.warnings]
    if person.kept:
        lines.append(f"{person.kept} can't be read now, and count as they were learnt before")
    if person.counter_examples:
        lines.append(f"counter-examples in {COUNTER_EXAMPLES}: {person.counter_examples}")
    if person.several:
        lines.append(f"several faces, the largest taken: {', '.join(map(_within, person.several))}")
    return "\n".join(lines)


def _within(file: str) -> str:
    return file.partition("/")[2]
