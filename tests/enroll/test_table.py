import io

import pytest
from rich.console import Console

from jetstream.enroll import table
from jetstream.enroll.enroll import EnrolledPhoto, Enrollment


@pytest.mark.parametrize(("width", "lines"), [(80, 1), (74, 1), (60, 3)])
def test_table_never_cuts_a_photos_name(width: int, lines: int) -> None:
    taken = [
        EnrolledPhoto(f"Ada/holiday-{second}.00s-1.jpg", f"{'videos/' * 9}holiday.mp4", second, 99, 1, 0.2)
        for second in (1, 2)
    ]
    console = Console(width=width, file=io.StringIO())
    console.print(table.table("q[/b] :smile:", Enrollment(tuple(taken), 2, {}), width))
    shown = console.file.getvalue()  # type: ignore[attr-defined]

    photos = "".join(line.split("\u2502")[1].strip() for line in shown.splitlines() if line.startswith("\u2502"))
    assert photos == "holiday-1.00s-1.jpgholiday-2.00s-1.jpg"
    assert "q[/b] :smile:" in shown
    assert shown.count("\n\u2502") <= 2 * lines
    assert max(map(len, shown.splitlines())) <= width
