"""How the process that does the page's tasks reads them."""

import os
import threading

from jetstream.changes.process import Lines


def test_lines_come_whole_however_they_were_written() -> None:
    out, into = os.pipe()
    lines, large = Lines(out), b"x" * 3_000_000 + b"\n"
    os.write(into, b"config\nfirst\nthi")
    assert [lines.next(0.0), lines.next(0.0)] == [b"config\n", b"first\n"], "what came with another isn't waited for"
    assert lines.next(0.0) == b"", "not whole yet"
    writer = threading.Thread(target=lambda: (os.write(into, b"rd\n" + large), os.close(into)))
    writer.start()
    assert lines.next(20.0) == b"third\n"
    assert lines.next(20.0) == large
    writer.join()
    assert lines.next(None) == b"", "its end"
    os.close(out)
