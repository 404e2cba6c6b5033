"""To which processes a stage sends the messages of which cameras."""

from pathlib import Path

import msgspec

from jetstream import pipeline
from jetstream.config import load
from jetstream.ipc.bus import Inbox, Outbox
from jetstream.messages import Tracked
from jetstream.runtime.worker import _outbox
from tests.support.stage_messages import frame_of


def received(folder: Path, outbox: Outbox, *readers: str) -> list[list[str]]:
    """What `track` says of each camera, by reader."""
    inboxes = [Inbox(folder, reader, {Tracked: None}, senders=frozenset({"track"})) for reader in readers]
    for camera in ("door", "web", "desk"):
        outbox.send(Tracked(frame=msgspec.structs.replace(frame_of(0), camera=camera), faces=()))
    outbox.end("track")
    found = [[message.frame.camera for message in inbox if isinstance(message, Tracked)] for inbox in inboxes]
    for inbox in inboxes:
        inbox.close()
    return found


def test_encode_gets_the_frames_of_those_cameras_alone_that_it_serves(tmp_path: Path) -> None:
    sources = {"door": "rtsp://c/", "web": "http://c/", "desk": "/dev/video0"}
    cameras = [{"name": name, "source": source} for name, source in sources.items()]
    config = load.build({"cameras": cameras, "clips": {"dir": "clips"}}, where="test")
    outbox = _outbox("track", pipeline.stage_named("track").under(config), config, tmp_path)

    assert received(tmp_path, outbox, "publish", "encode") == [["door", "web", "desk"], ["web", "desk"]]
