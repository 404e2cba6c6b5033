"""Runs jetstream on the drawn videos: every frame in one process, or live as real processes."""

import json
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import msgpack
import zmq

from benchmarks.sightings.judging import FoundSighting, SeenTrack
from jetstream import startup
from jetstream.config import load
from jetstream.config import schema as configuration
from jetstream.config.schema import Config
from jetstream.ipc.rings import Rings
from jetstream.messages import Ended, Message, Tracked
from jetstream.replay.replay import replay
from jetstream.sightings import database, reader
from jetstream.stages.sightings import sightings
from tests.support.command import free_port

REPOSITORY = Path(__file__).resolve().parents[2]
EXTRA_S = 12.0
"""a live run lasts longer than its videos by this: processes start first"""


class RunSettings(NamedTuple):
    videos: Mapping[str, Path]
    faces: Path
    models: Path
    pace: str


class SightingRun(NamedTuple):
    """What a run found."""

    found: list[FoundSighting]
    tracks: list[SeenTrack]
    into: dict[str, str]


def models_in(work: Path) -> Path:
    """The repository's networks in a folder of their own, where the gallery goes, too."""
    folder = work / "models"
    folder.mkdir(exist_ok=True)
    for path in (REPOSITORY / "models").glob("*.onnx"):
        if not (folder / path.name).exists():
            (folder / path.name).symlink_to(path)
    return folder


def base_config(models: Path, **tables: object) -> Config:
    return load.build({}, where="benchmark", overrides={"models": {"dir": str(models)}, **tables})


def every_frame(settings: RunSettings, work: Path) -> SightingRun:
    """One camera after the other through the stages in this process, into one database."""
    tracks: list[SeenTrack] = []
    with tempfile.TemporaryDirectory(dir=work) as folder:
        for camera, video in settings.videos.items():
            config = base_config(
                settings.models,
                recognize={"faces": str(settings.faces)},
                pipeline={"pace": "every-frame"},
                sightings={"dir": folder},
                cameras=[{"name": camera, "source": str(video)}],
            )
            config = startup.prepare(configuration.with_preset(config), lambda *_: None)
            _through_stages(config, tracks)
        found, into = found_in(Path(folder))
    return SightingRun(found, tracks, into)


def _through_stages(config: Config, tracks: list[SeenTrack]) -> None:
    current: list[Rings] = []

    class _Newest:
        """The rings of the replay, which are there from its first frame on."""

        def read(self, camera: str, frame_id: int) -> object:
            return current[0].read(camera, frame_id)

    def messages() -> Iterator[Message]:
        for tracked, rings in replay(config):
            current[:] = [rings]
            tracks.extend(_seen(tracked))
            yield tracked
        yield Ended(sender="track")

    for _ in sightings(messages(), _Newest(), config):  # type: ignore[arg-type]
        pass


def _seen(tracked: Tracked) -> Iterator[SeenTrack]:
    for face in tracked.faces:
        frame = tracked.frame
        yield SeenTrack(frame.camera, frame.pts_s, face.sighting, face.name, face.box, face.state == "confirmed")


def live(settings: RunSettings, work: Path, duration_s: float | None = None) -> SightingRun:
    """Both cameras as real processes; what was published says which box had which sighting."""
    with tempfile.TemporaryDirectory(dir=work) as folder:
        port = free_port()
        config = Path(folder) / "run.toml"
        config.write_text(toml(settings, Path(folder), port))
        tracks: list[SeenTrack] = []
        stop = threading.Event()
        listener = threading.Thread(target=_listen, args=(port, tracks, stop))
        listener.start()
        words = [sys.executable, "-m", "jetstream.cli", "run", str(config), "--headless"]
        if duration_s is not None:
            words += ["--duration", f"{duration_s:g}"]
        try:
            subprocess.run(words, cwd=folder, check=True)
        finally:
            stop.set()
            listener.join()
        found, into = found_in(Path(folder) / "sightings")
    return SightingRun(found, tracks, into)


def found_in(folder: Path) -> tuple[list[FoundSighting], dict[str, str]]:
    """The sightings of a database, and which one each merged one is part of."""
    with database.opened(folder) as connection:
        found = [
            FoundSighting(one.id, one.camera, one.name, one.begin_s, one.end_s)
            for one in reader.find(connection, reader.SightingFilter())
        ]
        merged = connection.execute("SELECT id, merged_into FROM sightings WHERE merged_into IS NOT NULL").fetchall()
    return found, dict(merged)


def _listen(port: int, tracks: list[SeenTrack], stop: threading.Event) -> None:
    socket = zmq.Context.instance().socket(zmq.SUB)
    socket.set(zmq.RCVHWM, 0)
    socket.subscribe(b"detections.")
    socket.connect(f"tcp://127.0.0.1:{port}")
    while not stop.is_set():
        if not socket.poll(200):
            continue
        event = msgpack.unpackb(socket.recv_multipart()[1])
        for track in event["tracks"]:
            seen = (event["camera"], event["pts_s"], track.get("sighting"), track["name"], track["box"])
            tracks.append(SeenTrack(*seen, track["state"] == "confirmed"))
    socket.close(linger=0)


def toml(settings: RunSettings, folder: Path, port: int) -> str:
    tables = {
        "pipeline": {"run_dir": str(folder / "run"), "log_level": "warning", "pace": settings.pace},
        "models": {"dir": str(settings.models)},
        "recognize": {"faces": str(settings.faces)},
        "render": {"window": False},
        "publish": {"endpoint": f"tcp://127.0.0.1:{port}"},
        "metrics": {"enabled": False},
        "web": {"enabled": False},
        "sightings": {"dir": str(folder / "sightings")},
    }
    rows = [(f"[{table}]", keys) for table, keys in tables.items()]
    rows += [("[[cameras]]", {"name": name, "source": str(video)}) for name, video in settings.videos.items()]
    lines = []
    for head, keys in rows:
        lines += [head, *(f"{key} = {json.dumps(value)}" for key, value in keys.items())]
    return "\n".join(lines) + "\n"
