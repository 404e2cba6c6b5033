"""A person enrolled from a track of a running pipeline."""

import time
from collections.abc import Iterator

import msgspec
import pytest
import zmq

from jetstream.config import load
from jetstream.events import Event
from jetstream.runtime import run_dir
from tests.support.enrolling import refused
from tests.support.inside import Inside
from tests.support.repository import DEMO
from tests.support.waiting import PATIENCE_S


def events(jetstream: Inside, timeout_s: float) -> Iterator[Event]:
    """What the running pipeline publishes, for so long."""
    with zmq.Context.instance().socket(zmq.SUB) as socket:
        socket.subscribe(b"detections.")
        socket.connect(jetstream.endpoint)
        deadline_s = time.monotonic() + timeout_s
        while time.monotonic() < deadline_s:
            if socket.poll(500):
                yield msgspec.msgpack.decode(socket.recv_multipart()[1], type=Event)


def unknown_track(jetstream: Inside, timeout_s: float = PATIENCE_S) -> int:
    """A track that the running pipeline shows without a name, for half a second at least."""
    for event in events(jetstream, timeout_s):
        for track in event.tracks:
            if track.name is None and track.state == "confirmed" and track.age_s > 0.5 and track.landmarks:
                return track.track_id
    raise AssertionError(f"no unknown track\n{jetstream.log()}")


def names_until(jetstream: Inside, name: str, timeout_s: float = PATIENCE_S) -> bool:
    return any(track.name == name for event in events(jetstream, timeout_s) for track in event.tracks)


@pytest.mark.pipeline
def test_unknown_who_walks_by_is_enrolled_from_the_running_pipeline_which_then_knows_her(jetstream: Inside) -> None:
    """The demo knows Collins; Hopper passes unknown, is enrolled by her track, and is named while it runs."""
    with jetstream.running(DEMO, "--headless"):
        track = unknown_track(jetstream)
        words = ("enroll", "Grace Hopper", "--from", f"track:demo/{track}", "--seconds", "6")
        result = jetstream(*words, "--faces", "models/demo-faces", sets=True)

        assert result.returncode == 0, result.stdout + result.stderr
        assert names_until(jetstream, "Grace Hopper"), jetstream.log()

        gone = jetstream("enroll", "Ada", "--from", "track:999999", "--seconds", "1.5", sets=True)
        assert gone.returncode == 1
        assert "track 999999: not seen within 1.5 s" in gone.stderr
        other = jetstream("enroll", "Ada", "--from", "track:door/1", sets=True)
        assert other.returncode == 2
        assert "no camera door runs; there are: demo" in other.stderr

    folder = jetstream.folder / "models" / "demo-faces" / "Grace Hopper"
    assert list(folder.iterdir())
    assert all(path.name.startswith(f"track-demo-{track}-") for path in folder.iterdir())
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o600}
    faces = ("--faces", "models/demo-faces")
    assert "Grace Hopper" in jetstream("identify", "hopper.png", *faces, sets=True).stdout
    assert "Eileen Collins" in jetstream("identify", "collins.png", *faces, sets=True).stdout


def test_track_of_no_pipeline_is_said(jetstream: Inside) -> None:
    assert "no jetstream runs here" in refused(jetstream, "Ada", "--from", "track:7", code=1)
    assert "expected track:<id>" in refused(jetstream, "Ada", "--from", "track:me")


def test_pipeline_that_publishes_nothing_is_said(jetstream: Inside) -> None:
    config = load.build({"publish": {"enabled": False}}, where="test")
    with run_dir.claim(jetstream.run_dir) as folder:
        assert "isn't ready yet" in refused(jetstream, "Ada", "--from", "track:1", code=1)
        folder.write(config, {})
        assert "run it with publish.enabled=true" in refused(jetstream, "Ada", "--from", "track:1")
        folder.write(load.build({}, where="test"), {})
        (folder.path / run_dir.RINGS).unlink()  # it is just ending
        assert "is ending; try again" in refused(jetstream, "Ada", "--from", "track:1", code=1)
