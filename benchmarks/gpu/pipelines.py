"""The pipeline on the GPU at 1 to 32 cameras, in processes and in one, and on the CPU."""

import statistics
import tempfile
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import msgspec
import numpy as np

from benchmarks.gpu import walk
from benchmarks.gpu.feeder import HELD
from benchmarks.gpu.inputs import MODELS, SIZES, Options, as_nv12, config_of, frames, free_shared_memory
from jetstream import pipeline
from jetstream.config.schema import Config, GpuConfig, ModelsConfig, PublishConfig, RecognizeConfig, RenderConfig
from jetstream.gallery.prepare import prepare_gallery
from jetstream.ipc.ring import Ring, segment_name
from jetstream.ipc.rings import Rings
from jetstream.messages import Captured, Detected, Ended, FrameRef, Message, Named, Tick, Tracked, Wanted
from jetstream.networks.runner import load_engine_of
from jetstream.picture_format import Nv12Picture
from jetstream.runners.base import UnavailableError

FPS = 30.0
TRACKS = 4
"""processes of `track`: each camera here gives the frames of several"""
SIZE = SIZES["1080p"]
FRAME_BYTES = SIZE[0] * SIZE[1] * 3
GPU_RUNS = [(count, FPS) for count in (1, 2, 4, 8, 16, 32)] + [(1, 0.0), (8, 600.0), (16, 300.0)]
HEAD = (
    "cameras",
    "fed, frames/s",
    "events/s",
    "p50 ms",
    "p99 ms",
    "dropped",
    "GPU %",
    "detect's and recognize's graphs %",
)
CPU_HEAD = "detect", "track", "recognize", "publish", "feeders"


def run(options: Options) -> None:
    images = frames(options.data, SIZE)
    with tempfile.TemporaryDirectory(prefix="js") as name:
        folder = Path(name)
        frames_file = folder / "frames.npy"
        np.save(frames_file, np.stack([_rows_of(picture) for picture in as_nv12(images)]))
        people = make_people(options.data, folder)
        print(f"{len(images)} real 1080p frames, NV12, from memory, each {HELD} times in a row; {people} people known;")
        print(f"every frame searched; {options.seconds:g} s each after {walk.WARM_S:g} s to warm up\n")
        for network in ("rnet", "onet", "embedder"):
            _say_if_missing(network, _config(options, folder, 1))
        print(f"| {' | '.join(HEAD)} | {' | '.join(f'{one}, CPU ms a frame' for one in CPU_HEAD)} |")
        print("| --- " * (len(HEAD) + len(CPU_HEAD)) + "|", flush=True)
        for cameras, rate in options.fed or GPU_RUNS:
            _row(f"{cameras}, {_speed(rate)}", _config(options, folder, cameras), frames_file, rate, options.seconds)
        for search in () if options.fed else ("always", "nth"):
            config = _config(options, folder, 8, backend="cpu", search=search)
            _row(f'8, {_speed(FPS)}, CPU, search "{search}"', config, frames_file, FPS, options.seconds)
        for cameras in () if options.fed else (1, 8):
            try:
                print(f"| {together(_config(options, folder, cameras), images, options.seconds)} |", flush=True)
            except Exception as error:  # what is measured already stays
                print(f"| {cameras}, one process | failed: {error} |", flush=True)
    print("\nDropped: of the whole run. GPU %: nvidia-smi's utilization, median of samples 0.2 s apart.", flush=True)


def _rows_of(picture: Nv12Picture) -> np.ndarray:
    """(3 H / 2, W) uint8: Y, then Cb and Cr."""
    height, width = picture.shape
    return np.concatenate([picture.luma, picture.chroma.reshape(height // 2, width)])


def _say_if_missing(network: str, config: Config) -> None:
    """A stage without its engine runs on the CPU, and its row would mean something else."""
    try:
        load_engine_of(MODELS / f"{network}.onnx", config)
    except UnavailableError as reason:
        print(f"**{network} is not on the GPU: {reason}**\n", flush=True)


def _row(title: str, config: Config, frames_file: Path, rate: float, seconds: float) -> None:
    try:
        done = walk.run(config, frames_file, rate, seconds)
    except Exception as error:  # the other rows go on
        print(f"| {title} | failed: {error} |", flush=True)
        return
    heard = done.heard
    drops = ", ".join(f"{name} {count}" for name, count in done.drops.items() if count) or "none"
    shares = ", ".join(f"{share:.0%}" for share in done.graphs_share.values())
    busy = (
        "{:.0f} at {:.0f} MHz, {:.0f} W".format(*map(statistics.median, zip(*done.smi, strict=True)))
        if done.smi
        else ""
    )
    fed = done.fed / (done.seconds + walk.WARM_S + walk.TAIL_S)
    cells = [title, f"{fed:,.0f}", f"{heard.frames / done.seconds:,.0f}", f"{heard.p50_ms:.1f}", f"{heard.p99_ms:.1f}"]
    cells += [drops, busy, shares]
    cells += [f"{done.cpu_s[name] * 1e3 / max(heard.frames, 1):.2f}" for name in CPU_HEAD]
    print(f"| {' | '.join(cells)} |", flush=True)


def _speed(rate: float) -> str:
    return f"{rate:g} frames/s each" if rate else "as fast as they go"


def _config(
    options: Options, folder: Path, cameras: int, *, backend: str = "tensorrt", search: str = "always"
) -> Config:
    base = config_of(options, "fp16", size=SIZE, cameras=cameras, backend=backend)
    slots = int(np.clip(0.8 * free_shared_memory() / (FRAME_BYTES * cameras), 3, 16))
    return msgspec.structs.replace(
        base,
        pipeline=msgspec.structs.replace(
            base.pipeline, run_dir=str(folder / "run"), slots=slots, log_level="warning", start_timeout_s=60.0
        ),
        models=ModelsConfig(dir=str(folder / "models")),
        detect=msgspec.structs.replace(base.detect, search=search),
        track=msgspec.structs.replace(base.track, processes=min(TRACKS, cameras)),
        recognize=msgspec.structs.replace(base.recognize, faces=str(folder / "faces"), watch_s=0.0),
        render=RenderConfig(window=False),
        publish=PublishConfig(endpoint=f"ipc://{folder / 'topic'}"),
    )


def make_people(data: Path, folder: Path) -> int:
    """A gallery of the data's photos (p*.jpg), each a person of its own; its models are links to the real ones."""
    models, faces = folder / "models", folder / "faces"
    models.mkdir()
    faces.mkdir()
    for file in MODELS.glob("*.onnx"):
        (models / file.name).symlink_to(file)
    for file in sorted(data.glob("p*.jpg")):
        (faces / file.stem).mkdir()
        (faces / file.stem / file.name).write_bytes(file.read_bytes())
    config = Config(
        models=ModelsConfig(dir=str(models)), recognize=RecognizeConfig(faces=str(faces)), gpu=GpuConfig(backend="cpu")
    )
    return len(prepare_gallery(config).people)


def together(config: Config, images: Sequence[np.ndarray], seconds: float) -> str:
    """The same stages in this one process, every batch handed from stage to stage; a row of the table."""
    with _rings(config) as rings:
        counted = _Counted(seconds)
        ages_ms = []
        for tracked in _walk(config, rings, _captured(config, rings, images, counted)):
            if counted.begun_s is not None:
                ages_ms.append((time.monotonic_ns() - tracked.frame.captured_ns) / 1e6)
        wall_s, cpu_s = time.monotonic() - (counted.begun_s or 0.0), time.process_time() - counted.cpu_s
    p50, p99 = np.percentile(ages_ms, (50, 99)).tolist() if ages_ms else (0.0, 0.0)
    each = f"{cpu_s * 1e3 / max(len(ages_ms), 1):.2f} all, with feeding"
    cells = [f"{len(config.cameras)}, one process, as fast as they go", "", f"{len(ages_ms) / wall_s:,.0f}"]
    cells += [f"{p50:.1f}", f"{p99:.1f}", "none", "", "", each, "", "", "", ""]
    return " | ".join(cells)


class _Counted:
    """When the measured stretch began."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.begun_s: float | None = None
        self.cpu_s = 0.0

    def begin(self) -> None:
        self.begun_s, self.cpu_s = time.monotonic(), time.process_time()

    def is_over(self) -> bool:
        return self.begun_s is not None and time.monotonic() - self.begun_s > self.seconds


def _walk(config: Config, rings: Rings, batches: Iterator[list[Message]]) -> Iterator[Tracked]:
    """As `replay`, for several cameras at the live pace. Closes its stages at its end."""
    detect, track, recognize = (pipeline.stage_named(name).load() for name in ("detect", "track", "recognize"))
    questions: deque[Message] = deque()
    answered: deque[Message] = deque()

    def faces_or_answers() -> Iterator[Message]:
        while True:
            while answered:
                yield answered.popleft()
            message = next((m for m in detecting if isinstance(m, Detected)), None)
            if message is None:
                yield Ended(sender="")
                return
            yield message

    with (
        closing(detect(batches, rings, config)) as detecting,
        closing(recognize(_asked(questions), rings, config)) as recognizing,
    ):
        for message in track(faces_or_answers(), rings, config):
            if isinstance(message, Wanted):
                questions.append(message)
                answered.append(next(m for m in recognizing if isinstance(m, Named)))
            elif isinstance(message, Tracked):
                yield message


def _asked(questions: deque[Message]) -> Iterator[list[Message]]:
    while True:
        yield [questions.popleft() if questions else Tick()]


def _captured(config: Config, rings: Rings, images: Sequence[np.ndarray], counted: _Counted) -> Iterator[list[Message]]:
    """A frame of each camera at once, as often as they are asked for."""
    turn, warm_until_s = 0, time.monotonic() + walk.WARM_S + 2
    while not counted.is_over():
        if counted.begun_s is None and time.monotonic() > warm_until_s:
            counted.begin()
        batch: list[Message] = []
        for place, camera in enumerate(config.cameras):
            now_ns = time.monotonic_ns()
            frame_id = rings[camera.name].write(images[(turn // HELD + place) % len(images)])
            batch.append(Captured(frame=FrameRef(camera.name, frame_id, now_ns, time.time_ns(), turn / FPS, live=True)))
        turn += 1
        yield batch


@contextmanager
def _rings(config: Config) -> Iterator[Rings]:
    with ExitStack() as stack:
        rings = {}
        for camera in config.cameras:
            size = {"max_width": camera.max_width, "max_height": camera.max_height}
            ring = Ring.create(segment_name(camera.name), slots=config.pipeline.slots, **size)
            rings[camera.name] = stack.enter_context(ring)
        yield Rings(rings)
