"""The reference pages are what the code says now, and say it in full."""

from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
import pytest
import typer
from msgspec import Meta

from jetstream.config import schema
from tools import reference
from tools.types_in_words import words


def test_committed_pages_are_those_that_the_code_gives() -> None:
    assert reference.main(["--check"]) == 0, "run `make docs`, or `python -m tools.reference`"


def test_a_stale_page_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(reference, "PAGES", tmp_path)
    reference.main([])
    (tmp_path / "events.md").write_text("before")

    assert reference.main(["--check"]) == 1
    assert "events.md: stale" in capsys.readouterr().err


def test_every_table_of_a_config_file_has_its_header() -> None:
    headers = [header for header, _ in reference.config_tables(schema.Config, "")]

    start = ["[pipeline]", "[models]", "[[cameras]]", "[[cameras.zones]]", "[detect]"]
    assert headers[: len(start)] == start
    assert {header.strip("[]") for header in headers} == {
        *schema.Config.__struct_fields__,
        "cameras.zones",
        "detect.ignore",
    }


def test_every_command_and_option_is_there_whatever_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "20")
    page = reference.commands_page()

    assert {command.words for command in reference.commands(reference.app, "jetstream")} >= {
        "jetstream run",
        "jetstream keys allow",
        "jetstream service install",
    }
    assert "| `--out`, `-o` | path | *required* |" in page  # of trace
    assert "| `--set` | text, repeatable |" in page
    assert "| `NAMES` | one or more texts | *required* |" in page


def test_markup_and_hidden_options_do_not_reach_the_page() -> None:
    app = typer.Typer()

    @app.command()
    def grow(
        by: Annotated[int, typer.Option("--by", "-b", min=1, help="How [bold]much[/bold].")] = 2,
        secret: Annotated[bool, typer.Option(hidden=True, help="Not for users.")] = False,
    ) -> None:
        """Grow it."""

    (command,) = reference.commands(app, "it")
    (usage, options) = reference.command_tables(command)

    assert usage == "```text\nit grow [OPTIONS]\n```"
    assert options.splitlines()[2:] == ["| `--by`, `-b` | whole number, 1 or more | `2` | How much. |"]


def test_a_field_without_a_meaning_is_an_error() -> None:
    with pytest.raises(KeyError, match="age"):
        reference.config_table(msgspec.defstruct("Cat", [("age", int)]))


@pytest.mark.parametrize(
    ("hint", "expected"),
    [
        (Annotated[float, Meta(gt=0)], "number, over 0"),
        (Annotated[int, Meta(ge=2, le=256)], "whole number, 2 to 256"),
        (Annotated[float, Meta(ge=0.00001, le=0.2)], "number, 0.00001 to 0.2"),
        (Literal["live", "every-frame"], '`"live"` or `"every-frame"`'),
        (tuple[float, float, float, float], "4 numbers"),
        (tuple[tuple[float, float], ...] | None, "list of pairs of numbers"),
        (dict[str, float], "map of text to number"),
    ],
)
def test_a_type_in_words(hint: Any, expected: str) -> None:
    assert words(hint) == expected
