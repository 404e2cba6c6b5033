"""What it costs a camera that its newest seconds are kept for clips: its packets copied, or its pictures encoded.

`python benchmarks/bench_clips.py` prints two tables of the processor's time. What is compared takes turns, so that a
busy machine slows all. The first one compares with FFmpeg's segments of 10 s, which other programs join to clips, the
second one with a recording.
"""

import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import av
import cv2
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from jetstream.capturing import fragment_places
from jetstream.capturing.camera_encoder import CameraEncoder
from jetstream.capturing.fragment_tap import tap_of
from jetstream.config import load
from jetstream.config.schema import Config
from jetstream.ipc.ring import Ring, segment_name
from jetstream.ipc.rings import Rings
from jetstream.messages import FrameRef, Tracked
from jetstream.recording.writer import FPS
from jetstream.video.ffmpeg import OpenVideo, open_file
from jetstream.video.gop.fragment_muxer import copied
from jetstream.video.sink import VideoSink

DATA = Path(os.environ.get("JETSTREAM_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
FILM = DATA / "video" / "friends_dev.mp4"
RATE, SECONDS, BITS = 30, 10, 4_000_000
TURNS, SLOTS = 7, 8
SIZES = {"720p": (1280, 720), "1080p": (1920, 1080)}


def pictures(size: tuple[int, int]) -> Iterator[np.ndarray]:
    """(H, W, 3) uint8 BGR of the film, enlarged."""
    with av.open(str(FILM)) as container:
        for frame in container.decode(video=0):
            yield cv2.resize(frame.to_ndarray(format="bgr24"), size, interpolation=cv2.INTER_LINEAR)


def camera_film(path: Path) -> Path:
    """What a camera sends: H.264, 1080p, with a key frame each 2 s."""
    with av.open(str(path), "w") as output:
        stream = output.add_stream("libx264", rate=RATE, options={"preset": "veryfast", "g": str(2 * RATE), "bf": "0"})
        stream.width, stream.height = SIZES["1080p"]
        stream.pix_fmt, stream.bit_rate = "yuv420p", BITS
        for number, picture in enumerate(pictures(SIZES["1080p"])):
            if number == RATE * SECONDS:
                break
            output.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="bgr24")))
        output.mux(stream.encode(None))
    return path


def in_turns(works: dict[str, Callable[[], None]]) -> dict[str, float]:
    """The median of each work's processor time, s."""
    taken: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(TURNS):
        for name, work in works.items():
            begun_s = time.process_time()
            work()
            taken[name].append(time.process_time() - begun_s)
    return {name: statistics.median(times) for name, times in taken.items()}


def config_with(folder: Path, blur: str = "none") -> Config:
    data = {
        "cameras": [{"name": "hall", "source": "rtsp://hall/"}],
        "clips": {"dir": str(folder / "clips")},
        "pipeline": {"run_dir": str(folder)},
        "render": {"blur": blur},
    }
    return load.build(data, where="benchmark")


def copying(folder: Path) -> None:
    """Print what copying packets takes."""
    opened = open_file(camera_film(folder / "film.mp4"))
    packets = [packet for packet in opened.container.demux(opened.stream) if packet.size]
    megabits = 8e-6 * sum(packet.size for packet in packets) / SECONDS

    def tap() -> None:
        watched = tap_of(config_with(folder))
        assert watched is not None
        for number, packet in enumerate(packets):
            watched.see(opened, packet, round(1e9 * number / RATE))
        watched.end()

    taken = in_turns({"tap": tap, "segments": lambda: segments(folder, opened, packets)})
    print(f"| H.264, 1080p, {RATE} fps, {megabits:.1f} Mbit/s | us a packet | share of a core |\n| --- | --- | --- |")
    for name, shown in (("tap", "fragments of 1 s (clips)"), ("segments", "FFmpeg's segments of 10 s")):
        print(f"| {shown} | {1e6 * taken[name] / len(packets):.0f} | {100 * taken[name] / SECONDS:.2f} % |")


def segments(folder: Path, opened: OpenVideo, packets: list) -> None:
    """As `ffmpeg -c copy -f segment -segment_time 10` does."""
    options = {"segment_time": "10", "segment_format": "mp4"}
    with av.open(str(folder / "segment-%d.mp4"), "w", format="segment", options=options) as output:
        stream = output.add_stream_from_template(opened.stream, opaque=False)
        for packet in packets:
            copy = copied(packet)
            copy.stream = stream
            output.mux(copy)


def encoding(folder: Path, name: str) -> dict[str, float]:
    """Ms of the processor for each picture of a size."""
    width, height = SIZES[name]
    images = [image for number, image in zip(range(SLOTS), pictures((width, height)), strict=False)]
    frames = 3 * RATE
    with ExitStack() as stack:
        ring = stack.enter_context(Ring.create(segment_name("c"), slots=SLOTS, max_width=width, max_height=height))
        for image in images:
            ring.write(image)
        rings = Rings({"hall": ring})

        def read() -> None:
            for number in range(frames):
                rings.read("hall", number % SLOTS)

        def encode(blur: str) -> None:
            encoder = CameraEncoder("hall", config_with(folder, blur))
            for number in range(frames):
                frame = FrameRef("hall", number % SLOTS, round(1e9 * number / RATE), 0, number / RATE, live=True)
                boxes = ((0.3 * width, 0.2 * height, 0.4 * width, 0.4 * height),) * 2
                encoder.add(Tracked(frame=frame, faces=(), others=boxes), rings, number / RATE)
            encoder.end()

        def record() -> None:
            with VideoSink(folder / "r.mp4", fps=FPS, width=width, height=height, codec="auto") as sink:
                for number in range(frames):
                    image = rings.read("hall", number % SLOTS)
                    assert image is not None
                    sink.write(image, number / RATE)

        works = {"read": read, "encode": lambda: encode("none"), "blurred": lambda: encode("all"), "record": record}
        return {work: 1e3 * taken_s / frames for work, taken_s in in_turns(works).items()}


def main() -> None:
    cv2.setNumThreads(1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with fragment_places.kept(config_with(folder)):
            copying(folder)
        of = {}
        for size in SIZES:
            with fragment_places.kept(config_with(folder, "all")):
                of[size] = encoding(folder, size)
    print(f"\n| ms of the processor a picture | {' | '.join(of)} |\n| --- |{' --- |' * len(of)}")
    for work, shown in (
        ("read", "read from the ring alone"),
        ("encode", "read and encode for clips (ultrafast)"),
        ("blurred", "the same with two faces blurred"),
        ("record", "read and record (superfast)"),
    ):
        print(f"| {shown} | {' | '.join(f'{taken[work]:.2f}' for taken in of.values())} |")


if __name__ == "__main__":
    main()
