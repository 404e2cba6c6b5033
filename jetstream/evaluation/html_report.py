"""An evaluation as one self-contained HTML file: no link, no script, no font.

Escapes every name; knows no gallery.
"""

import base64
from collections import Counter
from collections.abc import Sequence
from html import escape
from pathlib import Path

from jetstream import files
from jetstream.errors import UserError
from jetstream.evaluation import charts, tables
from jetstream.evaluation.error_sheets import ErrorSheet, ErrorTile
from jetstream.evaluation.evaluate import Evaluation, ReportContext
from jetstream.evaluation.metrics import Figures

PRIVATE = 0o600
MOST_NAMES = 30
"""Most rows and columns of the confusion matrix; with more people, only those with errors are shown."""
STRANGERS, UNKNOWN = "(strangers)", "(unknown)"

# The policy forbids fetching anything, even if a name were not escaped.
_HEAD = """<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
body {{ font: 15px/1.45 system-ui, sans-serif; color: #1a1a1a; background: #fff; max-width: 62rem;
  margin: 2rem auto; padding: 0 1rem }}
h1 {{ font-size: 1.5rem; margin-bottom: .2rem }}
h2 {{ font-size: 1.15rem; margin: 2.2rem 0 .6rem; border-bottom: 1px solid #ddd; padding-bottom: .2rem }}
table {{ border-collapse: collapse; font-variant-numeric: tabular-nums }}
th, td {{ text-align: left; padding: .25rem .9rem .25rem 0; border-bottom: 1px solid #eee; vertical-align: bottom }}
td.number, th.number {{ text-align: right }}
.lead {{ font-size: 1.15rem }}
.note {{ color: #555; margin: .4rem 0 }}
.scroll {{ overflow-x: auto }}
.charts img {{ max-width: 100% }}
.matrix td, .matrix th {{ border: 1px solid #ddd; padding: .15rem .4rem; text-align: center }}
.matrix th.down {{ writing-mode: vertical-rl; transform: rotate(180deg); text-align: left; font-weight: normal;
  padding: .4rem .15rem }}
.matrix th.row {{ text-align: right; font-weight: normal; white-space: nowrap }}
.matrix td.right {{ background: #cfe5f3 }}
.matrix td.wrong {{ background: #d55e00; color: #fff; font-weight: bold }}
.matrix td.unknown {{ background: #e4e4e4 }}
.sheet {{ display: flex; flex-wrap: wrap; gap: .8rem }}
figure {{ margin: 0; width: 232px; font-size: 12px; line-height: 1.3; overflow-wrap: anywhere; break-inside: avoid }}
.pair {{ display: flex; gap: 4px; min-height: 112px; align-items: center; background: #f3f3f3; margin-bottom: .25rem }}
.pair img {{ max-width: 114px }}
@media print {{ body {{ margin: 0; max-width: none; print-color-adjust: exact }} h2 {{ break-after: avoid }} }}
</style></head><body>
"""


def write(path: Path, result: Evaluation, shown: ReportContext) -> None:
    """Write the report to `path`, readable only by its owner, because it shows faces. Raises UserError on failure."""
    try:
        files.replace(path, page(result, shown).encode(errors="replace"), mode=PRIVATE)
    except OSError as error:
        raise UserError(f"--out {path}: {error.strerror}; name a file in a folder that can be written") from None


def page(result: Evaluation, shown: ReportContext) -> str:
    """The report as HTML."""
    title = tables.title(result)
    parts = [
        _HEAD.format(title=escape(title)),
        f"<h1>How well the people are recognised</h1><p class=note>{escape(title)}</p>",
        f"<p class=lead>{escape(_lead(result))}</p>",
        _figures(result),
        *(f"<p class=note>{escape(note)}</p>" for note in result.notes),
        _charts(result, shown),
    ]
    if result.figures is not None:
        parts += [_people(result.figures), _confusion(result.figures)]
    parts += [_sheet(sheet) for sheet in shown.sheets]
    return "\n".join([*parts, "</body></html>\n"])


def _lead(result: Evaluation) -> str:
    """The main result in one sentence."""
    if result.figures is not None:
        right, wrong, named = result.figures.right, result.figures.wrong, result.figures.strangers_named
        faces = tables.plural(right.of, "face", "faces")
        known = (
            f"Of {faces} of known people {right.count} named right, {wrong.count} wrong"
            if right.of
            else "No face of a known person could be tested"
        )
        faces = tables.plural(named.of, "face", "faces")
        return f"{known}; " + (
            f"of {faces} of strangers {named.count} named." if named.of else "no stranger was tested."
        )
    assert result.video is not None  # set where `figures` is not
    last = result.video.counted[-1]
    boxes = tables.plural(last.right.of, "box", "boxes")
    return (
        f"From {last.after_s:g} s after a person appears: of {boxes} of known people {last.right.count} named right, "
        f"{last.wrong.count} wrong."
    )


def _figures(result: Evaluation) -> str:
    per_sighting = (
        f"<h2>{escape(tables.PER_SIGHTING.capitalize())}</h2>{_figure_table(tables.sighting_rows(result.sightings))}"
        if result.sightings is not None
        else ""
    )
    return (
        f"<h2>Figures</h2>{_figure_table(tables.rows(result))}<p class=note>The interval (Wilson) assumes independent "
        f"faces; faces of one person, or of one video, are not fully independent.</p>{per_sighting}"
    )


def _figure_table(rows: Sequence[tables.Row]) -> str:
    head = "<tr><th></th><th class=number>share</th><th>count</th><th>95 % interval</th></tr>"
    body = "".join(
        f"<tr><td>{escape(what)}</td><td class=number>{escape(share)}</td>"
        f"<td>{escape(count)}</td><td>{escape(interval)}</td></tr>"
        for what, share, count, interval in rows
    )
    return f"<table>{head}{body}</table>"


def _charts(result: Evaluation, shown: ReportContext) -> str:
    drawn = {"Names over time": charts.timeline(shown.boxes)}
    if result.figures is not None:
        drawn = {
            "ROC curve": charts.roc(result.asked, result.figures),
            "DET curve": charts.det(result.asked),
            "Histogram of scores": charts.histogram(result.asked),
        }
    images = [
        f'<img alt="{name}" src="data:image/svg+xml;base64,{base64.b64encode(svg.encode()).decode()}">'
        for name, svg in drawn.items()
        if svg is not None
    ]
    note = "<p class=note>A logarithmic axis has no 0: a count of 0 is drawn as 0.5.</p>"
    curves = note if len(images) > 1 else ""
    return f"<h2>Curves</h2><div class=charts>{''.join(images)}</div>{curves}" if images else ""


def _people(figures: Figures) -> str:
    rows = tables.people_with_errors(figures)
    if not rows:
        return "<h2>People</h2><p>No errors: nobody got a wrong name, and every known person was recognised.</p>"
    head = "".join(f"<th>{heading}</th>" for heading in tables.PERSON)
    body = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    fine = len(figures.people) - len(rows)
    rest = f"<p class=note>{tables.plural(fine, 'more person', 'more people')} without a mistake.</p>" if fine else ""
    return f"<h2>People with mistakes</h2><div class=scroll><table><tr>{head}</tr>{body}</table></div>{rest}"


def _confusion(figures: Figures) -> str:
    counts = Counter({(one.person or STRANGERS, one.name or UNKNOWN): one.count for one in figures.confusion})
    people, left_out = _shown_people(figures)
    answered = {name for person, name in counts if person in (*people, STRANGERS)}
    columns = [name for name in people if name in answered]
    columns += sorted(answered - {*columns, UNKNOWN})[: MOST_NAMES - len(columns)]
    heads = "".join(f"<th class=down>{escape(name)}</th>" for name in (*columns, UNKNOWN))
    body = "".join(
        f"<tr><th class=row>{escape(person)}</th>"
        + "".join(_cell(person, name, counts[person, name]) for name in (*columns, UNKNOWN))
        + "</tr>"
        for person in (*people, STRANGERS)
        if any(counts[person, name] for name in (*columns, UNKNOWN))
    )
    fine = tables.plural(left_out, "person", "people")
    rest = f" Left out: {fine} without a mistake, or past {MOST_NAMES}." if left_out else ""
    return (
        "<h2>Confusion matrix</h2><p class=note>A row is the person, a column the name given. Blue: correct; red: a "
        f"wrong name; grey: a known person not recognised.{rest}</p>"
        f"<div class=scroll><table class=matrix><tr><th></th>{heads}</tr>{body}</table></div>"
    )


def _shown_people(figures: Figures) -> tuple[list[str], int]:
    """The people with a row in the matrix, and the number of people without one."""
    everybody = [person for person in figures.people if person.asked]
    if len(everybody) <= MOST_NAMES:
        return [person.name for person in everybody], 0
    mistaken = sorted((p for p in everybody if p.wrong or p.unknown), key=lambda p: (-p.wrong, -p.unknown, p.name))
    return sorted(person.name for person in mistaken[:MOST_NAMES]), len(everybody) - min(len(mistaken), MOST_NAMES)


def _cell(person: str, name: str, count: int) -> str:
    if not count:
        return "<td></td>"
    correct = name == (UNKNOWN if person == STRANGERS else person)
    kind = "right" if correct else "unknown" if name == UNKNOWN else "wrong"
    return f"<td class={kind}>{count}</td>"


def _sheet(sheet: ErrorSheet) -> str:
    shown = f"{sheet.all}" if len(sheet.tiles) == sheet.all else f"{len(sheet.tiles)} of {sheet.all}, the worst first"
    body = "".join(_tile(tile) for tile in sheet.tiles)
    if not sheet.all:
        return f"<h2>{escape(sheet.title)}</h2><p>None.</p>"
    return f"<h2>{escape(sheet.title)} ({shown})</h2><div class=sheet>{body}</div>"


def _tile(tile: ErrorTile) -> str:
    images = "".join(
        f'<img alt="{alt}" src="data:image/jpeg;base64,{content}">'
        for alt, content in (("the tested face", tile.picture), ("the nearest photo", tile.beside))
        if content is not None
    )
    first, *rest = tile.lines
    caption = "<br>".join([f"<b>{escape(first)}</b>", *(escape(line) for line in rest)])
    return f"<figure><div class=pair>{images}</div><figcaption>{caption}</figcaption></figure>"
