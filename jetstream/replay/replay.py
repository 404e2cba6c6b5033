"""The stages in one process, in order: every frame, no socket, and the same result every time.

The stages are generators and are pulled from the end: `track` pulls faces, `detect` frames, and `capture` reads them. A
question of `track` is answered by `recognize` before the next frame. Knows no process.
"""

import logging
import sys
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from jetstream import pipeline
from jetstream.config import secrets
from jetstream.config.schema import CameraConfig, Config
from jetstream.errors import UserError
from jetstream.ipc.local import LocalRing
from jetstream.ipc.rings import Rings
from jetstream.messages import Captured, Detected, Ended, Message, Named, Tick, Tracked, Wanted
from jetstream.recording.events_file import open_events, write_event
from jetstream.recording.writer import FPS
from jetstream.replay.explain import TrackExplanations
from jetstream.sightings.following import SightingFollower
from jetstream.sightings.sighting_list import SightingList
from jetstream.video import source
from jetstream.video.sink import CONTAINERS, VideoSink
from jetstream.vision.drawing.annotate import annotate

log = logging.getLogger(__name__)


def replay(config: Config) -> Iterator[tuple[Tracked, Rings]]:
    """Each frame's tracks, and the rings that still hold its picture. `config.pipeline.pace` must be every-frame."""
    rings = Rings({camera.name: LocalRing(slots=config.pipeline.slots) for camera in config.cameras})
    capture, detect, track, recognize = (
        pipeline.stage_named(name).load() for name in ("capture", "detect", "track", "recognize")
    )
    captured = _only(Captured, capture(_endless_ticks(), rings, config))
    detected = _only(Detected, detect(([message] for message in captured), rings, config))
    questions = FeedIterator()
    answers = _only(Named, recognize(([question] for question in questions), rings, config))
    answered: deque[Message] = deque()

    def faces_or_answers() -> Iterator[Message]:
        while True:
            while answered:
                yield answered.popleft()
            message = next(detected, None)
            if message is None:
                yield Ended(sender="")
                return
            yield message

    for message in track(faces_or_answers(), rings, config):
        if isinstance(message, Wanted):
            questions.add(message)
            answered.append(next(answers))
        elif isinstance(message, Tracked):
            yield message, rings


def to_files(
    config: Config,
    events: Path | None,
    video: Path | None,
    progress: Callable[[str, float], None],
    *,
    explain: bool = False,
    sightings_file: Path | None = None,
) -> None:
    """Replay into `events` (None: standard output), a line a frame, and with boxes and names into `video`; the
    sightings into `sightings_file`, a line each.

    A file gets its name only when it is complete. `explain` prints at the end why each track has its name; on standard
    error if the events go to standard output. `progress` is called with a label and the fraction done.

    Raises UserError when a file can't be written, or would overwrite the input.
    """
    check_outputs(config.cameras[0].source, events, video, sightings_file)
    expected = expected_frames(config.cameras[0])
    explanations = TrackExplanations()
    found = SightingList()
    follower = SightingFollower(config, found)
    with ExitStack() as stack:
        file = stack.enter_context(open_events(stack.enter_context(whole(events)))) if events else sys.stdout
        sink = None
        for done, (tracked, rings) in enumerate(replay(config), start=1):
            write_event(file, tracked)
            follower.saw(tracked, 0.0)
            if explain:
                explanations.add(tracked)
            progress("replay", done / expected if expected else 0.0)
            if video is not None:
                image = rings.read(tracked.frame.camera, tracked.frame.frame_id)
                assert image is not None  # `replay` keeps the picture until its next frame
                sink = sink or _open_sink(stack, video, image, config)
                shown = config.render
                annotate(image, tracked.faces, tracked.others, blur=shown.blur, landmarks=shown.landmarks)
                sink.write(image, tracked.frame.time_s)
        if sightings_file is not None:
            follower.end_all()
            lines = [msgspec.json.encode(sighting) + b"\n" for sighting in found.sightings()]
            stack.enter_context(whole(sightings_file)).write_bytes(b"".join(lines))
    if explain:
        reasons = list(explanations.lines()) or ["no face was tracked, so there is no name to explain"]
        print(*reasons, sep="\n", file=sys.stdout if events else sys.stderr)


def expected_frames(camera: CameraConfig) -> int | None:
    """Frames that the camera's source says it has; None where it doesn't say. Raises SourceError."""
    return source.probe(secrets.address(camera), camera).frames


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """A temporary path to write to, renamed to `path` at the end and deleted after a failure. Raises UserError."""
    part = path.with_name(f".{path.stem}.partial{path.suffix}")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        part.unlink(missing_ok=True)  # of a killed run; a link there must not be written through
        part.touch(mode=0o600, exist_ok=False)
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}; name a folder that can be written") from None
    try:
        yield part
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def check_outputs(read: str, events: Path | None, video: Path | None, sightings_file: Path | None = None) -> None:
    """Raises UserError if an output can't be written, or would overwrite the source `read` or another output."""
    for option, path in (("--out", events), ("--video", video), ("--sightings", sightings_file)):
        if path is not None and path.exists() and not path.is_file():
            kind = "a folder" if path.is_dir() else "no file"
            raise UserError(f"{option} {path}: it is {kind}; name a file")
    outputs = [path for path in (events, video, sightings_file) if path is not None]
    paths = [path.resolve() for path in outputs]
    if Path(read).resolve() in paths or len(set(paths)) < len(paths):
        raise UserError(f"{outputs[0]}: an output can't be the input or another output; choose another name")
    if video is not None and video.suffix.lower() not in CONTAINERS:
        raise UserError(f"{video}: expected a name that ends in {' or '.join(CONTAINERS)}")


def _open_sink(stack: ExitStack, path: Path, image: NDArray[np.uint8], config: Config) -> VideoSink:
    height, width = image.shape[:2]
    part = stack.enter_context(whole(path))
    sink = stack.enter_context(VideoSink(part, fps=FPS, width=width, height=height, codec=config.record.codec))
    if sink.codec_name != "h264":
        log.info("no H.264 encoder here; the video is %s", sink.codec_name)
    return sink


class FeedIterator(Iterator[Message]):
    """An iterator over messages that are added just before each `next`."""

    def __init__(self) -> None:
        self._waiting: deque[Message] = deque()

    def add(self, message: Message) -> None:
        self._waiting.append(message)

    def __next__(self) -> Message:
        return self._waiting.popleft()


def _endless_ticks() -> Iterator[Tick]:
    while True:
        yield Tick()


def _only(kind: type[Message], messages: Iterator[Message]) -> Iterator[Message]:
    """The `messages` of one kind. Nothing is Dropped in a replay: the ring holds all frames under way."""
    return (message for message in messages if isinstance(message, kind))
