"""The same stages in one process, in walking order: every frame, no socket, and the same answers every time.

The stages are pulled from the end: `track` asks for faces, `detect` for frames, `capture` reads them; a question of
`track` is answered by `recognize` before the next frame. Knows no process.
"""

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

from jetstream import pipeline
from jetstream.config import Config
from jetstream.ipc.local import LocalRing
from jetstream.ipc.ring import Rings
from jetstream.messages import Captured, Detected, Ended, Message, Named, Tick, Tracked, Wanted
from jetstream.stages.record import FPS, open_events, write_event
from jetstream.video import source
from jetstream.video.sink import VideoSink
from jetstream.vision import draw


def replay(config: Config) -> Iterator[tuple[Tracked, Rings]]:
    """Each frame's tracks, and the rings in which its picture still is. `config.pipeline.pace` must be every-frame."""
    rings = Rings({camera.name: LocalRing(slots=config.pipeline.slots) for camera in config.cameras})
    capture, detect, track, recognize = (
        pipeline.stage_named(name).load() for name in ("capture", "detect", "track", "recognize")
    )
    captured = _only(Captured, capture(_endless_ticks(), rings, config))
    detected = _only(Detected, detect(([message] for message in captured), rings, config))
    questions = Feed()
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


def to_files(config: Config, events: Path, video: Path | None, progress: Callable[[str, float], None]) -> None:
    """Replay into `events`, one line a frame, and draw it into `video`. Raises UserError when they can't be written."""
    sink: VideoSink | None = None
    expected = source.probe(config.cameras[0].source).frames
    with ExitStack() as stack:
        file = stack.enter_context(open_events(events))
        for done, (tracked, rings) in enumerate(replay(config), start=1):
            write_event(file, tracked)
            progress("replay", done / expected if expected else 0.0)
            if video is None:
                continue
            image = rings.read(tracked.frame.camera, tracked.frame.frame_id)
            assert image is not None  # it was written a moment ago, in this process
            if sink is None:
                height, width = image.shape[:2]
                sink = VideoSink(video, fps=FPS, width=width, height=height, codec=config.record.codec)
                stack.callback(sink.close)
            draw.faces(image, tracked.faces, landmarks=config.render.landmarks)
            sink.write(image, tracked.frame.time_s)


class Feed(Iterator[Message]):
    """An iterator that is filled from outside, just before it is asked."""

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
    """`messages` of one kind. None is Dropped here: one process, and a ring that holds what is under way."""
    return (message for message in messages if isinstance(message, kind))
