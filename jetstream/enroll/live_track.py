"""Face samples of one track of a running pipeline: boxes from the detections topic, pixels from the frame rings.

Doesn't affect the pipeline: it is one more subscriber, and a reader that no writer waits for.
"""

import re
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

import numpy as np
import zmq

from jetstream.config import schema as configuration
from jetstream.config.schema import Config, PublishConfig
from jetstream.enroll.samples import SampleSet, SampleSource, SourceFace
from jetstream.enroll.sources import Enough
from jetstream.errors import PipelineError, UserError
from jetstream.events import Event, EventTrack
from jetstream.ipc.rings import Rings
from jetstream.runtime.run_dir import RunDir, decoded, not_ready
from jetstream.topic import keys

LOOK_EVERY_S: Final = 0.1
"""Shorter intervals would give nearly equal samples."""


def from_track(spec: str, samples: SampleSet, config: Config, seconds: float, enough: Enough) -> None:
    """Add samples of the track `<id>` or `<camera>/<id>`, for at most `seconds` or until `enough()`. A head that turns
    away may get another track: those of the same sighting count, too.

    Skips frames that left their ring before they were read. Raises UserError when `spec` is no track, the track is on
    several cameras, or the pipeline doesn't publish; PipelineError when no pipeline runs or the track wasn't seen.
    """
    camera, track_id = parse_track(spec)
    folder = RunDir(configuration.run_dir(config))
    running = running_config(config)
    if camera and camera not in (known := [one.name for one in running.cameras]):
        raise UserError(f"--from track:{spec}: no camera {camera} runs; there are: {', '.join(known)}")
    others: set[int] = set()
    sightings: set[str] = set()
    cameras: set[str] = set()
    source = SampleSource(f"track {spec}", f"track-{spec.replace('/', '-')}", timed=True)
    start_s, last_s = time.monotonic(), -LOOK_EVERY_S
    with Rings.attach_all(_rings(folder)) as rings:
        for event in _events(running.publish, camera, start_s + seconds, folder):
            time_s = time.monotonic() - start_s
            others |= {track.track_id for track in event.tracks}
            ours = [track for track in event.tracks if track.track_id == track_id]
            sightings |= {track.sighting for track in ours if track.sighting is not None}
            ours = ours or [track for track in event.tracks if track.sighting in sightings]
            if not ours:
                continue
            cameras.add(event.camera)
            if len(cameras) > 1:
                options = " or ".join(f"track:{name}/{track_id}" for name in sorted(cameras))
                raise UserError(f"--from track:{spec}: on several cameras; say which: {options}")
            faces = list(_faces(ours[:1], track_id))
            if not faces or time_s - last_s < LOOK_EVERY_S:
                continue
            image = rings.read(event.camera, event.frame_id)
            if image is None:
                continue
            last_s = time_s
            samples.add(image, faces, source, time_s)
            if enough():
                return
    if not cameras:
        visible = ", ".join(str(number) for number in sorted(others))
        raise PipelineError(
            f"track {spec}: not seen within {seconds:g} s; "
            + (f"visible tracks: {visible}" if visible else "no face was seen at all; see `jetstream subscribe`")
        )


def running_config(config: Config) -> Config:
    """The config of the running pipeline in the run directory of `config`, with absolute folders.

    Raises PipelineError when none runs or it isn't ready, UserError when it doesn't publish.
    """
    path = configuration.run_dir(config)
    folder = RunDir(path)
    if not folder.is_running():
        raise PipelineError(
            f"{path}: no jetstream runs here; start one, or name its folder with --set pipeline.run_dir=..."
        )
    running = folder.running_config()
    if not running.publish.enabled:
        raise UserError(f"{path}: this pipeline doesn't publish its tracks; run it with publish.enabled=true")
    return running


def _rings(folder: RunDir) -> dict[str, str]:
    try:
        return folder.read_rings()
    except OSError:
        raise not_ready(folder.path) from None


def parse_track(spec: str) -> tuple[str, int]:
    """The camera (empty: any) and the number in `<id>` or `<camera>/<id>`. Raises UserError for other text."""
    camera, _, number = spec.rpartition("/")
    if not number.isascii() or not number.isdecimal():
        raise UserError(f"--from track:{spec}: expected track:<id> or track:<camera>/<id>, such as track:7")
    return camera, int(number)


def _events(publish: PublishConfig, camera: str, until_s: float, folder: RunDir) -> Iterator[Event]:
    """The topic's events until `until_s` (CLOCK_MONOTONIC) or the pipeline's end. Raises PipelineError."""
    socket: zmq.Socket[bytes] = zmq.Context.instance().socket(zmq.SUB)
    if publish.keys:
        own = keys.publisher(Path(publish.keys))
        own.authenticate(socket, own.public)
    socket.set(zmq.IPV6, int("[" in publish.endpoint))
    socket.subscribe(b"detections.")
    socket.connect(re.sub(r"^tcp://(\*|0\.0\.0\.0):", "tcp://127.0.0.1:", publish.endpoint))
    try:
        while (left_s := until_s - time.monotonic()) > 0:
            if not socket.poll(int(min(left_s, 0.5) * 1000) + 1):
                if not folder.is_running():
                    return
                continue
            _, body = socket.recv_multipart()
            event = decoded(body, Event, folder.path)
            if not camera or event.camera == camera:
                yield event
    finally:
        socket.close(linger=0)


def _faces(tracks: Iterable[EventTrack], track_id: int) -> Iterator[SourceFace]:
    """The tracks' faces, as one track, where they were detected in this very frame."""
    for track in tracks:
        if track.landmarks is not None:
            landmarks = np.array(track.landmarks, np.float32).reshape(5, 2)
            yield SourceFace(track_id, np.array(track.box, np.float32), landmarks, track.score)
