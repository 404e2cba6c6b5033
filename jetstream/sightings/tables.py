"""Sightings as text for people: a table, a line for each change, the whole of one, and CSV.

Times are shown in the machine's own zone. Knows no database.
"""

import csv
import io
from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Final

from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from jetstream.messages import NameCandidate
from jetstream.sighting import FoundSighting, Sighting, SightingMessage
from jetstream.sightings.presence import Presence
from jetstream.sightings.stranger_list import StrangerSummary

CSV_COLUMNS: Final = (
    *("id", "begin", "end", "camera", "area", "name", "stranger", "confidence", "state", "zones", "correction"),
    "machine_name",
)
HEADERS: Final = ("begin", "end", "camera", "who", "sure", "notes", "id")
NOTES: Final = HEADERS.index("notes")
"""a column that is left out where no sighting has any"""
WORDS: Final = {"": "", "name": "corrected", "not": "not {name}", "ignore": "ignored"}


def local(iso: str) -> str:
    """A stored time in the machine's zone, to the second."""
    return datetime.fromisoformat(iso.replace("Z", "+00:00")).astimezone().strftime("%Y-%m-%d %H:%M:%S")


class TableLayout:
    """What the parts of a long table have in common, so that together they look as one. Takes all sightings first."""

    def __init__(self) -> None:
        self.count = 0
        self._widths = [cell_len(header) for header in HEADERS]
        self.has_notes = False

    def take(self, sightings: Iterable[Sighting]) -> None:
        """Make room for these sightings."""
        for cells in map(_cells, sightings):
            self.count += 1
            self._widths = [max(width, cell_len(cell)) for width, cell in zip(self._widths, cells, strict=True)]
            self.has_notes |= bool(cells[NOTES])

    def width_of(self, header: str) -> int:
        """Of a column, in characters."""
        return self._widths[HEADERS.index(header)]

    @property
    def width(self) -> int:
        """Of the whole table, with its lines."""
        shown = [width for number, width in enumerate(self._widths) if number != NOTES or self.has_notes]
        return sum(width + 3 for width in shown) + 1


def table(sightings: Sequence[Sighting], layout: TableLayout | None = None, *, with_header: bool = True) -> Table:
    """A line for each sighting. `layout`: of the table of which these are a part."""
    rows = [_cells(sighting) for sighting in sightings]
    has_notes = any(cells[NOTES] for cells in rows) if layout is None else layout.has_notes
    made = Table(show_header=with_header)
    for number, header in enumerate(HEADERS):
        if number == NOTES and not has_notes:
            continue
        made.add_column(
            header,
            justify="right" if header == "sure" else "left",
            no_wrap=header in ("sure", "id"),
            overflow="fold" if number == NOTES else "ellipsis",
            min_width=None if layout is None else layout.width_of(header),
        )
    for cells in rows:
        made.add_row(*(Text(cell) for number, cell in enumerate(cells) if number != NOTES or has_notes))
    return made


def part(console: Console, sightings: Sequence[Sighting], layout: TableLayout, done: int) -> str:
    """A part of a long table, after `done` sightings: the first one has the header, the last one the lower edge."""
    with console.capture() as captured:
        console.print(table(sightings, layout, with_header=done == 0))
    lines = captured.get().splitlines(keepends=True)
    return "".join(lines[0 if done == 0 else 1 : None if done + len(sightings) == layout.count else -1])


def _cells(sighting: Sighting) -> tuple[str, ...]:
    end = "now" if sighting.state == "open" else local(sighting.end)[11:]
    begin, notes = local(sighting.begin), _notes(sighting)
    return begin, end, _place(sighting), sighting.who, sure(sighting), notes, sighting.id


def sure(sighting: Sighting) -> str:
    """How sure the machine was of its name; "-" where it gave none."""
    return f"{sighting.confidence:.0%}" if sighting.machine_name is not None else "-"


def _place(sighting: Sighting) -> str:
    return sighting.camera if sighting.area == sighting.camera else f"{sighting.camera} ({sighting.area})"


def _notes(sighting: Sighting) -> str:
    parts = [zone.name for zone in sighting.zones]
    if sighting.correction:
        parts.append(WORDS[sighting.correction].format(name=sighting.denied))
    return ", ".join(parts)


def whole(sighting: Sighting, folder: Path) -> str:
    """Everything that is known of a sighting."""
    lines = [
        f"{sighting.who} at {_place(sighting)}",
        f"  id         {sighting.id}",
        f"  from       {local(sighting.begin)}",
        f"  until      {'now' if sighting.state == 'open' else local(sighting.end)}",
        f"  machine    {sighting.machine_name or 'no name'}, {sure(sighting)} sure",
    ]
    if sighting.correction:
        said = WORDS[sighting.correction].format(name=sighting.denied)
        lines.append(f"  corrected  {f'to {sighting.who}' if sighting.correction == 'name' else said}")
    lines += [f"  zone       {zone.name}, first at {local(zone.first)}" for zone in sighting.zones]
    lines += [f"  candidate  {_candidate(candidate)}" for candidate in sighting.why]
    if sighting.gallery:
        lines.append(f"  gallery    {sighting.gallery[:12]}")
    lines += [f"  look       {folder / look}" for look in sighting.looks]
    return "\n".join(lines)


def _candidate(candidate: NameCandidate) -> str:
    answers = f"{candidate.answers} answer{'' if candidate.answers == 1 else 's'}"
    text = f"{candidate.name or 'unknown'}: {answers}, log odds {candidate.log_odds:.1f}"
    if candidate.distance is not None:
        text += f", nearest at distance {candidate.distance:.2f}"
    return text if candidate.photo is None else f"{text}, photo {candidate.photo}"


def change(message: SightingMessage) -> str:
    """A line for one change: `2026-11-29 18:02:11 door enter Ada 98 % 01K...`."""
    sighting = message.sighting
    confidence = f" {sure(sighting)}" if sighting.machine_name is not None else ""
    what = "is" if message.change == "stranger" else message.change
    text = f"{local(message.wall)} {sighting.camera} {what} {sighting.who}{confidence} {sighting.id}"
    return "".join(letter if letter.isprintable() else "?" for letter in text)  # no control codes to the terminal


def as_csv(sightings: Iterable[Sighting], *, with_header: bool = True) -> str:
    """A header and a line for each sighting; zones are separated by spaces, which no zone's name has."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    if with_header:
        writer.writerow(CSV_COLUMNS)
    for sighting in sightings:
        zones = " ".join(zone.name for zone in sighting.zones)
        writer.writerow([zones if key == "zones" else getattr(sighting, key) for key in CSV_COLUMNS])
    return text.getvalue()


def strangers_table(strangers: Sequence[StrangerSummary]) -> Table:
    """A line for each stranger."""
    made = Table("stranger", "sightings", "first", "last", "cameras", "newest sighting")
    for one in strangers:
        also = f" (also {', '.join(map(str, one.aliases))})" if one.aliases else ""
        cells = (f"{one.number}{also}", str(one.sightings), local(one.first), local(one.last), ", ".join(one.cameras))
        made.add_row(*map(Text, (*cells, one.newest)))
    return made


def search_table(found: Sequence[FoundSighting]) -> Table:
    """A line for each sighting that resembles a face."""
    made = Table("same person", "who", "begin", "camera", "id")
    for one in found:
        sighting = one.sighting
        cells = (f"{one.probability:.0%}", sighting.who, local(sighting.begin), _place(sighting), sighting.id)
        made.add_row(*map(Text, cells))
    return made


def presence_table(presence: Presence) -> Table:
    """A line for each person, and one for each area with strangers."""
    made = Table("who", "where", "since")
    for person in presence.people:
        where = person.area if person.state == "here" else f"{person.state}, last in {person.area}"
        made.add_row(*map(Text, (person.name, where, local(person.since))))
    for strangers in presence.strangers:
        count = f"{strangers.count} stranger{'' if strangers.count == 1 else 's'}"
        made.add_row(*map(Text, (count, strangers.area, "")))
    return made
