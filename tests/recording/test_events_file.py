"""New recordings have names of their own: nothing is written over another file, nor through a link."""

from pathlib import Path

import pytest

from jetstream.errors import UserError
from jetstream.recording.events_file import open_events, unused


@pytest.mark.parametrize("suffix", [".mp4", ".jsonl"])
@pytest.mark.parametrize("leads", ["somewhere", "nowhere"])
def test_link_with_a_recordings_name_is_never_written_through(tmp_path: Path, suffix: str, leads: str) -> None:
    own, stem = tmp_path / "own", "door-20260101T000000"
    if leads == "somewhere":
        own.write_text("own")
    (tmp_path / f"{stem}{suffix}").symlink_to(own)

    assert unused(tmp_path, stem) == tmp_path / f"{stem}_2"
    with pytest.raises(UserError, match="Too many levels of symbolic links"):
        open_events(tmp_path / f"{stem}{suffix}")
    assert own.exists() == (leads == "somewhere")
    assert not own.exists() or own.read_text() == "own"
