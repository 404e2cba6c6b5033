"""What the tables say of an evaluation."""

import io

import pytest
from rich.console import Console

from jetstream.evaluation import metrics, tables
from jetstream.evaluation.evaluate import Evaluation
from tests.support.evaluation import asked


@pytest.mark.parametrize("of", [1, 2])
def test_one_is_not_several(of: int) -> None:
    told = [asked("Ada", True, None, -1.0)] * of + [asked("Eve", False, None, -2.0)] * of
    result = Evaluation("photos", "faces", "test", of, of, (), metrics.figures(told), None, tuple(told))
    text = f"{tables.title(result)} {tables.rows(result)}"

    assert f"{of} stranger{'s' * (of > 1)}: at least {100 / of:.1f} %" in text
    assert f"{of} photo{'s' * (of > 1)} enrolled" in text


def test_names_are_no_markup_and_no_emoji_in_the_tables() -> None:
    name = "q[/b] [red]x[/red] :smile:"
    told = [asked(name, True, "Bob", 1.0), asked("Bob", True, None, -1.0)]
    result = Evaluation("photos", f"/home/{name}", name, 2, 2, (), metrics.figures(told), None, tuple(told))
    console = Console(width=300, file=io.StringIO())
    for table in tables.tables(result):
        console.print(table)
    shown = console.file.getvalue()  # type: ignore[attr-defined]

    assert f"/home/{name}: tested on {name}" in shown
    assert f"│ {name} " in shown
