"""The page: complete in itself, whatever a name holds."""

import pytest

from jetstream.evaluation import html_report, metrics
from jetstream.evaluation.error_sheets import ErrorSheet, ErrorTile
from jetstream.evaluation.evaluate import Evaluation, ReportContext
from jetstream.evaluation.metrics import ProbeResult
from tests.support.evaluation import PageParser, asked, some_asked

EVIL = '<script>alert(1)</script><img src="http://example.com/x.png">$\\frac$ 李'


def evil_page(asked: list[ProbeResult]) -> str:
    result = Evaluation("cross-validation", EVIL, None, 2, 9, (EVIL,), metrics.figures(asked), None, tuple(asked))
    return html_report.page(result, ReportContext([ErrorSheet(EVIL, (ErrorTile(None, None, (EVIL,)),), 1)], []))


def test_page_needs_nothing_else_and_escapes_names() -> None:
    parsed = PageParser()
    text = evil_page([one.__class__(**{**as_dict(one), "person": EVIL}) for one in some_asked(1)])
    parsed.feed(text)

    assert parsed.elements.isdisjoint({"script", "link", "iframe", "object", "base"})
    assert len(parsed.fetched) == 3  # ROC, DET, histogram
    assert all(source.startswith("data:image/svg+xml;base64,") for source in parsed.fetched)
    assert "url(" not in text
    assert "@import" not in text


def as_dict(one: ProbeResult) -> dict[str, object]:
    return {name: getattr(one, name) for name in one.__struct_fields__}


def test_page_of_many_people_shows_those_with_mistakes() -> None:
    fine = [asked(f"P{number:03}", True, f"P{number:03}", 3.0) for number in range(200)]
    text = evil_page([*fine, asked("P007", True, "P008", 1.0)])
    matrix = text[text.index("class=matrix") :]

    assert "<th class=row>P007</th>" in matrix
    assert "P100" not in matrix
    assert "199 people" in text


@pytest.mark.parametrize("kinds", [(True,), (False,), ()])
def test_page_is_made_of_one_kind_of_faces_alone(kinds: tuple[bool, ...]) -> None:
    text = evil_page([one for one in some_asked(1) if one.known in kinds])

    assert "ROC curve" not in text
    assert ("Histogram" in text) == bool(kinds)
