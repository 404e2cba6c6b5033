"""The rows of the table that other rooms' tests give."""

from tests.faults.elsewhere import ROWS
from tests.support.repository import REPOSITORY


def test_every_row_names_a_test_that_is_there() -> None:
    places = (row.test.split("::") for row in ROWS)

    assert [name for file, name in places if f"def {name}(" not in (REPOSITORY / file).read_text()] == []
