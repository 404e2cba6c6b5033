"""An evaluation for a terminal, and the words that the page shares with it.

Reads figures only.
"""

from collections.abc import Iterator

from rich.table import Table
from rich.text import Text

from jetstream.evaluation.evaluate import Evaluation
from jetstream.evaluation.metrics import Figures, OperatingPoint, Proportion
from jetstream.evaluation.video import VideoFigures

MOST_PEOPLE = 15
PERSON = ("person", "right", "wrong", "unknown", "named as a stranger", "others given this name")
Row = tuple[str, str, str, str]  # what, share, counts, interval


def title(result: Evaluation) -> str:
    """`faces: cross-validated, 12 people, 431 photos`"""
    how = {"cross-validation": "cross-validated", "photos": f"asked with {result.test}", "video": f"on {result.test}"}
    people, photos = in_words(result.people, "person", "people"), in_words(result.photos, "photo", "photos")
    return f"{result.faces}: {how[result.kind]}, {people}, {photos} enrolled"


def tables(result: Evaluation) -> Iterator[Table]:
    """The figures, then who is not known well."""
    table = Table(title=_plain(title(result)))
    for heading in ("", "share", "count", "95 % interval"):
        table.add_column(heading, no_wrap=heading != "count")
    for row in rows(result):
        table.add_row(*map(Text, row))
    yield table
    if result.figures and (worst := troubled(result.figures)):
        people = Table(title="mistakes by person")
        for heading in PERSON:
            people.add_column(heading, overflow="fold")
        for person in worst[:MOST_PEOPLE]:
            people.add_row(*map(Text, person))
        if len(worst) > MOST_PEOPLE:
            more = in_words(len(worst) - MOST_PEOPLE, "more person", "more people")
            people.caption = f"and {more}; the report has all"
        yield people


def rows(result: Evaluation) -> list[Row]:
    """What, share, counts and interval of every figure."""
    if result.video is not None:
        return _video_rows(result.video)
    assert result.figures is not None  # one of both is there
    figures = result.figures
    return [
        _row("known people named right", figures.right),
        _row("known people named wrong", figures.wrong),
        _row("known people unknown", figures.unknown),
        _row("strangers named", figures.strangers_named),
        *(_rate_row(one) for one in figures.at_rates),
    ]


def troubled(figures: Figures) -> list[tuple[str, ...]]:
    """Everybody with a mistake, most first: name and counts, as words."""
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


def in_words(count: int, one: str, several: str) -> str:
    """`1 person`, `2 people`"""
    return f"{count} {one if count == 1 else several}"


def _plain(text: str) -> Text:
    """Names are no markup, and `:smile:` in a path is no face."""
    return Text(text, style="table.title")


def _of(count: int, of: int) -> str:
    return f"{count} of {of}" if of else "-"


def percent(share: float) -> str:
    """`97.8 %`; finer where it is small."""
    return f"{100 * share:.2f} %" if 0 < share < 0.01 else f"{100 * share:.1f} %"


def _row(what: str, share: Proportion) -> Row:
    if share.share is None:
        return what, "-", "nobody asked", ""
    interval = f"{100 * share.low:.1f} to {100 * share.high:.1f} %"
    return what, percent(share.share), f"{share.count} of {share.of}", interval


def _rate_row(one: OperatingPoint) -> Row:
    rate = one.false_accept_rate
    what = f"right at {100 * rate:g} % false accepts" if rate else "right at no false accept"
    if not one.strangers:
        return what, "-", "no strangers", ""
    if one.right is None:
        least = percent(1 / one.strangers)
        return what, "-", f"{in_words(one.strangers, 'stranger', 'strangers')}: the least is {least}", ""
    return _row(what, one.right)


def _video_rows(figures: VideoFigures) -> list[Row]:
    found: list[Row] = []
    for counted in figures.counted:
        after = f"{counted.after_s:g} s after a start" if counted.after_s else "all boxes"
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
        appearances = in_words(len(figures.first_right), "appearance", "appearances")
        found.append(("never named right", str(never), f"of {appearances}", ""))
    found.append(("names changed within a track", str(figures.name_changes), "", ""))
    longest = in_words(figures.old_names_longest, "frame", "frames")
    frames = f"for {longest} at most" if figures.old_names else ""
    found.append(("boxes named as somebody gone", str(figures.old_names), frames, ""))
    found.append(("boxes", str(figures.boxes), f"in {in_words(figures.frames, 'frame', 'frames')}", ""))
    if figures.missed:
        found.append(("faces of the truth without a box", str(figures.missed), "", ""))
    return found
