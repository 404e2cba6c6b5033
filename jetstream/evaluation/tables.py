"""An evaluation as tables for a terminal, and the texts that the HTML report shares with them.

Reads figures only.
"""

from collections.abc import Iterator, Mapping, Sequence

from rich.table import Table
from rich.text import Text

from jetstream.evaluation.evaluate import Evaluation
from jetstream.evaluation.metrics import Figures, OperatingPoint, Proportion
from jetstream.evaluation.per_sighting import SightingFigures
from jetstream.evaluation.video import VideoFigures

MOST_PEOPLE = 15
PER_SIGHTING = "per sighting: one person without a longer break"
SIGHTINGS_A_DAY = 100
"""of a busy door; false names a day are told for so many"""
PERSON = ("person", "right", "wrong", "unknown", "named as a stranger", "others given this name")
Row = tuple[str, str, str, str]  # what, share, counts, interval


def title(result: Evaluation) -> str:
    """The title, such as `faces: cross-validated, 12 people, 431 photos enrolled`."""
    how = {"cross-validation": "cross-validated", "photos": f"tested on {result.test}", "video": f"on {result.test}"}
    people, photos = plural(result.people, "person", "people"), plural(result.photos, "photo", "photos")
    return f"{result.faces}: {how[result.kind]}, {people}, {photos} enrolled"


def tables(result: Evaluation) -> Iterator[Table]:
    """A table of the figures, one of the sightings of a video, and one of the people with the most errors."""
    yield _table(title(result), rows(result))
    if result.sightings is not None:
        yield _table(PER_SIGHTING, sighting_rows(result.sightings))
    if result.figures and (worst := people_with_errors(result.figures)):
        people = Table(title="errors by person")
        for heading in PERSON:
            people.add_column(heading, overflow="fold")
        for person in worst[:MOST_PEOPLE]:
            people.add_row(*map(Text, person))
        if len(worst) > MOST_PEOPLE:
            more = plural(len(worst) - MOST_PEOPLE, "more person", "more people")
            people.caption = f"and {more}; the HTML report has all"
        yield people


def comparison(results: Mapping[str, Evaluation]) -> Table:
    """A table of the same figures of several evaluations, a column each under its name."""
    first = next(iter(results.values()))
    table = Table(title=_plain(title(first)))
    for heading in ("", *results):
        table.add_column(heading)
    for same in zip(*map(rows, results.values()), strict=True):
        cells = (f"{share} ({interval})" if interval else share for _, share, _, interval in same)
        table.add_row(*map(Text, (same[0][0], *cells)))
    return table


def rows(result: Evaluation) -> list[Row]:
    """A row for every figure: its name, share, counts and interval."""
    if result.video is not None:
        return _video_rows(result.video)
    assert result.figures is not None  # set where `video` is not
    figures = result.figures
    return [
        _row("known people named right", figures.right),
        _row("known people named wrong", figures.wrong),
        _row("known people unknown", figures.unknown),
        _row("strangers named", figures.strangers_named),
        *(_rate_row(one) for one in figures.at_rates),
    ]


def sighting_rows(figures: SightingFigures) -> list[Row]:
    """A row for every figure of sightings, in the same form."""
    false = figures.false_names
    found = [
        _row("sightings in the truth found", figures.found),
        _row("missed", figures.missed),
        ("found in several parts", str(figures.split), f"of {figures.true}", ""),
        _row("of known people: named right", figures.right),
        _row("of known people: named wrong", figures.wrong),
        _row("of known people: unnamed", figures.unnamed),
        _row("of strangers: named", figures.strangers_named),
    ]
    if false.share is not None:
        interval = f"{SIGHTINGS_A_DAY * false.low:.1f} to {SIGHTINGS_A_DAY * false.high:.1f}"
        what = f"false names a day of {SIGHTINGS_A_DAY} sightings"
        found.append((what, f"{SIGHTINGS_A_DAY * false.share:.1f}", f"{false.count} of {false.of} here", interval))
    if figures.unjudged:
        found.append(("of which the truth says nothing", str(figures.unjudged), "", ""))
    return found


def people_with_errors(figures: Figures) -> list[tuple[str, ...]]:
    """The people with errors, most errors first, under the headings PERSON."""
    found = sorted(figures.people, key=lambda p: (-(p.wrong + p.named_as_stranger + p.drawn), -p.unknown, p.name))
    return [
        (
            person.name,
            _of(person.right, person.asked),
            str(person.wrong),
            str(person.unknown),
            _of(person.named_as_stranger, person.as_stranger),
            str(person.drawn),
        )
        for person in found
        if person.wrong or person.unknown or person.named_as_stranger or person.drawn
    ]


def plural(count: int, one: str, several: str) -> str:
    """A count with its noun: `1 person`, `2 people`."""
    return f"{count} {one if count == 1 else several}"


def _table(heading: str, found: Sequence[Row]) -> Table:
    table = Table(title=_plain(heading))
    for column in ("", "share", "count", "95 % interval"):
        table.add_column(column, no_wrap=column != "count")
    for row in found:
        table.add_row(*map(Text, row))
    return table


def _plain(text: str) -> Text:
    """`text` without rich's markup and emoji codes."""
    return Text(text, style="table.title")


def _of(count: int, of: int) -> str:
    return f"{count} of {of}" if of else "-"


def percent(share: float) -> str:
    """A share as text: `97.8 %`, with two decimals below 1 %."""
    return f"{100 * share:.2f} %" if 0 < share < 0.01 else f"{100 * share:.1f} %"


def _row(what: str, share: Proportion) -> Row:
    if share.share is None:
        return what, "-", "nobody tested", ""
    interval = f"{100 * share.low:.1f} to {100 * share.high:.1f} %"
    return what, percent(share.share), f"{share.count} of {share.of}", interval


def _rate_row(one: OperatingPoint) -> Row:
    rate = one.false_accept_rate
    what = f"right at {100 * rate:g} % false accepts" if rate else "right at no false accept"
    if not one.strangers:
        return what, "-", "no strangers", ""
    if one.right is None:
        least = percent(1 / one.strangers)
        return what, "-", f"{plural(one.strangers, 'stranger', 'strangers')}: at least {least}", ""
    return _row(what, one.right)


def _video_rows(figures: VideoFigures) -> list[Row]:
    found: list[Row] = []
    for counted in figures.counted:
        after = f"from {counted.after_s:g} s after a start" if counted.after_s else "all boxes"
        found.append(_row(f"{after}: right", counted.right))
        found.append(_row(f"{after}: wrong", counted.wrong))
        found.append(_row(f"{after}: unknown", counted.unknown))
        if counted.strangers_named.of:
            found.append(_row(f"{after}: strangers named", counted.strangers_named))
    times_s = sorted(one.after_s for one in figures.first_right if one.after_s is not None)
    never = sum(one.after_s is None for one in figures.first_right)
    if times_s:
        middle = times_s[len(times_s) // 2]
        found.append(("first right name after", f"{middle:.2f} s", f"longest {times_s[-1]:.2f} s", ""))
    if never:
        appearances = plural(len(figures.first_right), "appearance", "appearances")
        found.append(("never named right", str(never), f"of {appearances}", ""))
    found.append(("names changed within a track", str(figures.name_changes), "", ""))
    longest = plural(figures.old_names_longest, "frame", "frames")
    frames = f"for {longest} at most" if figures.old_names else ""
    found.append(("boxes with the name of somebody who left", str(figures.old_names), frames, ""))
    found.append(("boxes", str(figures.boxes), f"in {plural(figures.frames, 'frame', 'frames')}", ""))
    if figures.missed:
        found.append(("faces in the truth without a box", str(figures.missed), "", ""))
    return found
