"""What a log line looks like for people, for programs and for systemd's journal, and what never stands in one."""

import contextlib
import io
import json
import logging
import os
import socket
import struct
import time
from pathlib import Path

import pytest

from jetstream import logs
from jetstream.logs import MOST_ALIKE, WINDOW_S, LineHandler, RepeatFilter, datagram, open_journal
from jetstream.masking import masked
from tests.support.waiting import PATIENCE_S, wait_until


def logger_to(handler: LineHandler) -> logging.Logger:
    log = logging.Logger("test")
    log.addHandler(handler)
    return log


def test_text_is_a_line_with_level_and_process() -> None:
    stream = io.StringIO()
    logger_to(LineHandler("detect", stream=stream)).warning("%d faces too many", 3)

    assert stream.getvalue() == "jetstream warning detect: 3 faces too many\n"


def test_json_is_an_object_a_line_also_for_several_lines_and_tracebacks() -> None:
    stream = io.StringIO()
    log = logger_to(LineHandler("capture.door", "json", stream))
    log.info('a "quoted"\nlink')
    try:
        raise ValueError("rtsp://ada:secret@192.0.2.1/1")
    except ValueError:
        log.exception("lost")
    first, second = [json.loads(line) for line in stream.getvalue().splitlines()]

    assert first["message"] == 'a "quoted"\nlink'
    assert (first["level"], first["process"], first["camera"]) == ("info", "capture.door", "door")
    assert "ValueError: rtsp://***@192.0.2.1/1" in second["message"]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("rtsp://ada:secret@192.0.2.1/1: no answer", "rtsp://***@192.0.2.1/1: no answer"),
        ("open http://u:p@a/x and rtsps://u:p@b/y", "open http://***@a/x and rtsps://***@b/y"),
        ("rtsp://ada:se@cret@192.0.2.1/1", "rtsp://***@192.0.2.1/1"),
        ("mail ada@example.org about tcp://127.0.0.1:5570", "mail ada@example.org about tcp://127.0.0.1:5570"),
    ],
)
def test_a_password_in_an_address_is_never_told(text: str, shown: str) -> None:
    assert masked(text) == shown


def test_a_line_that_repeats_is_told_a_few_times_and_then_summed_up() -> None:
    repeats = RepeatFilter()
    told = [repeats.passes(logging.WARNING, f"door: no answer; opened again in {n}.5 s", float(n)) for n in range(20)]

    assert told == [True] * MOST_ALIKE + [False] * (20 - MOST_ALIKE)
    assert repeats.passes(logging.WARNING, "yard: no answer; opened again in 1.0 s", 20.0)
    assert repeats.summaries(WINDOW_S - 1) == []
    assert repeats.summaries(WINDOW_S) == [
        (logging.WARNING, "door: no answer; opened again in 19.5 s", 20 - MOST_ALIKE)
    ]
    assert repeats.summaries(1000.0) == [], "the yard's one line is no repetition"
    assert repeats.passes(logging.WARNING, "door: no answer; opened again in 1.5 s", 1000.0)


def test_what_was_held_back_is_told_at_the_end() -> None:
    stream = io.StringIO()
    handler = LineHandler("run", stream=stream)
    log = logger_to(handler)
    for number in range(10):
        log.warning("attempt %d failed", number)
    handler.close()
    lines = stream.getvalue().splitlines()

    assert len(lines) == MOST_ALIKE + 1
    assert lines[-1] == f"jetstream warning run: attempt 9 failed (and {10 - MOST_ALIKE} more like it within 60 s)"


def test_each_kind_that_was_held_back_is_told_soon_after_its_window_though_nothing_else_is_logged(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(logs, "WINDOW_S", 0.4)
    stream = io.StringIO()
    handler = LineHandler("run", stream=stream)
    log = logger_to(handler)
    for number in range(MOST_ALIKE + 2):
        log.warning("door %d", number)
    time.sleep(0.2)
    for number in range(MOST_ALIKE + 7):
        log.warning("yard %d", number)
    wait_until(lambda: stream.getvalue().count("more like it") == 2, why=stream.getvalue)

    assert [line for line in stream.getvalue().splitlines() if "more like it" in line] == [
        "jetstream warning run: door 4 (and 2 more like it within 0 s)",
        "jetstream warning run: yard 9 (and 7 more like it within 0 s)",
    ]
    with handler.lock or contextlib.nullcontext():
        assert handler._timer is None, "nothing is left to tell"


def test_kinds_of_lines_that_are_remembered_are_bounded() -> None:
    repeats = RepeatFilter()
    for number in range(5000):
        assert repeats.passes(logging.INFO, f"line {'x' * number}", 0.0)

    assert len(repeats._kinds) <= 256


def test_journal_gets_fields_where_standard_error_leads_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "journal"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as journal, (tmp_path / "stderr").open("w") as stream:
        journal.bind(str(path))
        journal.settimeout(PATIENCE_S)
        status = os.fstat(stream.fileno())
        monkeypatch.setenv("JOURNAL_STREAM", f"{status.st_dev}:{status.st_ino}")
        handler = LineHandler("capture.door", stream=stream, journal=str(path))
        logger_to(handler).warning("no answer\nfrom it")
        fields = parsed(journal.recv(65536))
        handler.close()

    assert fields == {
        "MESSAGE": "no answer\nfrom it",
        "PRIORITY": "4",
        "SYSLOG_IDENTIFIER": "jetstream",
        "JETSTREAM_PROCESS": "capture.door",
        "JETSTREAM_CAMERA": "door",
    }
    assert (tmp_path / "stderr").read_text() == ""


def test_a_journal_that_is_gone_loses_no_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "journal"
    with (tmp_path / "stderr").open("w") as stream:
        status = os.fstat(stream.fileno())
        monkeypatch.setenv("JOURNAL_STREAM", f"{status.st_dev}:{status.st_ino}")
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as journal:
            journal.bind(str(path))
            handler = LineHandler("run", stream=stream, journal=str(path))
        logger_to(handler).error("lost")
        handler.close()

    assert (tmp_path / "stderr").read_text() == "jetstream error run: lost\n"


def test_standard_error_that_was_sent_elsewhere_gets_text(tmp_path: Path) -> None:
    with (tmp_path / "stderr").open("w") as stream:
        assert open_journal(stream, {"JOURNAL_STREAM": "1:2"}) is None
        assert open_journal(stream, {}) is None
        assert open_journal(stream, {"JOURNAL_STREAM": "nonsense"}) is None


def parsed(payload: bytes) -> dict[str, str]:
    """As journald reads it."""
    fields = {}
    while payload:
        line, _, rest = payload.partition(b"\n")
        key, equals, value = line.partition(b"=")
        if not equals:
            (length,) = struct.unpack("<Q", rest[:8])
            value, rest = rest[8 : 8 + length], rest[8 + length :].removeprefix(b"\n")
        fields[key.decode()] = value.decode()
        payload = rest
    return fields


def test_datagram_is_read_back() -> None:
    assert parsed(datagram({"MESSAGE": "a=b\n\nc", "PRIORITY": "6"})) == {"MESSAGE": "a=b\n\nc", "PRIORITY": "6"}


def test_a_line_for_a_reader_who_is_gone_is_no_error(tmp_path):
    stream = (tmp_path / "gone").open("w")
    lines = LineHandler("run", stream=stream)
    stream.close()
    lines.emit(logging.LogRecord("jetstream", logging.INFO, "", 0, "nobody reads this", (), None))
    lines.close()
