"""The capture stage in one process: files, their pace, and where it goes on."""

import itertools
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path

import msgspec
import numpy as np
import pytest

from jetstream.config import load
from jetstream.config.schema import Config
from jetstream.errors import SourceError
from jetstream.ipc.ring import LocalRing, Ring
from jetstream.ipc.rings import Rings
from jetstream.ipc.segment import segment_name
from jetstream.messages import Captured, Dropped, Tick
from jetstream.picture_format import PictureFormat, format_of
from jetstream.stages import capture as stage
from jetstream.stages.capture import AnnouncedFrames, capture
from jetstream.video.frames import Frame, UnconvertedFrame
from jetstream.video.gop.ring import PacketRing
from tests.support.corners import corners, marked_video
from tests.support.defaults import video_sink
from tests.support.http_cameras import Camera, Shape, picture, serving_file, stream_of
from tests.support.rings import NAME
from tests.support.serving import serving


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    """Forty frames at 100 a second; frame i is of grey 5 i."""
    path = tmp_path / "clip.mp4"
    sink = video_sink(path, fps=100, width=64, height=48)
    for i in range(40):
        sink.write(np.full((48, 64, 3), 5 * i, np.uint8), i / 100)
    sink.close()
    return path


def config_of(source: Path, pace: str = "every-frame") -> Config:
    camera = {"name": "a", "source": str(source)}
    return load.build({"cameras": [camera], "pipeline": {"pace": pace}}, where="test")


def ticks() -> Iterator[Tick]:
    return itertools.repeat(Tick())


def ids(messages: list[Captured]) -> list[int]:
    return [message.frame.frame_id for message in messages]


def test_every_frame_of_a_file_is_written_and_told_of_in_order(clip: Path) -> None:
    ring = LocalRing(slots=64)

    messages = list(capture(ticks(), Rings({"a": ring}), config_of(clip)))

    assert ids(messages) == list(range(40))
    assert [round(m.frame.pts_s * 100) for m in messages] == list(range(40))
    grey = [float(ring.read(i).mean()) for i in range(40)]  # type: ignore[union-attr]
    assert np.abs(np.array(grey) - 5 * np.arange(40)).max() < 4
    assert not any(m.frame.live for m in messages)


@pytest.mark.parametrize("rotate", [0, 90, 180, 270])
def test_the_ring_holds_upright_frames_within_the_cameras_limits(tmp_path: Path, rotate: int) -> None:
    wide = marked_video(tmp_path / "wide.mp4", (160, 120), aspect=Fraction(2), frames=2)
    camera = {"name": "a", "source": str(wide), "rotate": rotate, "max_width": 200, "max_height": 100}
    config = load.build({"cameras": [camera], "pipeline": {"pace": "every-frame"}}, where="test")
    with Ring.create(NAME, slots=4, max_width=200, max_height=100, directory=tmp_path) as ring:
        list(capture(ticks(), Rings({"a": ring}), config))
        image = ring.read(1)
    assert image is not None
    expected = {0: ("RGBW", 75, 200), 90: ("BRWG", 100, 38), 180: ("WBGR", 75, 200), 270: ("GWRB", 100, 38)}
    assert (corners(image), *image.shape[:2]) == expected[rotate]


@pytest.mark.parametrize("pace", ["live", "every-frame"])
def test_ring_holds_nv12_where_the_gpu_takes_it(clip: Path, monkeypatch: pytest.MonkeyPatch, pace: str) -> None:
    monkeypatch.setattr(stage, "takes_nv12", lambda config: config.pipeline.pace == "live")
    ring = LocalRing(slots=64)

    messages = list(capture(ticks(), Rings({"a": ring}), config_of(clip, pace)))

    formats = {format_of(ring.view(number).picture) for number in ids(messages)}  # type: ignore[union-attr]
    assert formats == {PictureFormat.NV12_601 if pace == "live" else PictureFormat.BGR}
    grey = [float(ring.read(i).mean()) for i in ids(messages)]  # type: ignore[union-attr]
    assert np.abs(np.array(grey) - 5 * np.arange(40)).max() < 4


def test_turned_cameras_frames_are_bgr(clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stage, "takes_nv12", lambda config: True)
    camera = {"name": "a", "source": str(clip), "rotate": 90}
    ring = LocalRing(slots=64)

    messages = list(capture(ticks(), Rings({"a": ring}), load.build({"cameras": [camera]}, where="test")))

    pictures = [ring.view(number).picture for number in ids(messages)]  # type: ignore[union-attr]
    assert {(format_of(picture), picture.shape) for picture in pictures} == {(PictureFormat.BGR, (64, 48, 3))}


def test_live_file_plays_at_its_own_rate(clip: Path) -> None:
    messages = list(capture(ticks(), Rings({"a": LocalRing()}), config_of(clip, "live")))

    took_s = (messages[-1].frame.captured_ns - messages[0].frame.captured_ns) * 1e-9
    assert len(messages) == 40
    assert took_s >= 0.38


def test_live_file_whose_frames_find_no_place_is_not_converted_for_nothing(
    clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ring = LocalRing(slots=64)
    cell = ring.register("track")
    converted: list[float] = []
    convert = UnconvertedFrame.converted

    def counted(frame: UnconvertedFrame) -> Frame | None:
        converted.append(frame.pts_s)
        return convert(frame)

    monkeypatch.setattr(UnconvertedFrame, "converted", counted)
    messages: list[Captured | Dropped] = []
    for message in capture(ticks(), Rings({"a": ring}), config_of(clip, "live")):
        messages.append(message)
        if sum(isinstance(m, Dropped) for m in messages) == 20:
            cell.done(39)

    written = [m.frame for m in messages if isinstance(m, Captured)]
    busy = [m for m in messages if isinstance(m, Dropped)]
    assert {m.reason for m in busy} == {"busy"}
    assert len(converted) == len(written) == 40 - len(busy)
    assert len(busy) >= 20
    grey = [float(ring.read(frame.frame_id).mean()) for frame in written]  # type: ignore[union-attr]
    assert np.abs(np.array(grey) - [5 * frame.frame_id for frame in written]).max() < 4, "its number is its index"
    assert [round(frame.pts_s * 100) for frame in written] == [frame.frame_id for frame in written]


def test_every_frame_waits_for_the_slowest_reader(clip: Path) -> None:
    ring = LocalRing(slots=4)
    cell = ring.register("track")
    running = capture(itertools.islice(ticks(), 60), Rings({"a": ring}), config_of(clip))

    first = list(itertools.islice(running, 4))
    cell.done(1)
    then = [next(running), next(running)]

    assert ids(first) == [0, 1, 2, 3]
    assert ids(then) == [4, 5]
    assert list(running) == [], "no room and no more ticks"


def test_capture_started_again_goes_on_where_it_died(clip: Path) -> None:
    ring = LocalRing(slots=8)
    cell = ring.register("track")
    first = list(itertools.islice(capture(ticks(), Rings({"a": ring}), config_of(clip)), 6))
    cell.done(3)

    again = capture(ticks(), Rings({"a": ring}), config_of(clip))
    retold: list[Captured] = [next(again), next(again)]  # type: ignore[list-item]
    cell.done(5)
    after = next(again)

    assert ids(first) == [0, 1, 2, 3, 4, 5]
    assert ids(retold) == [4, 5], "in the ring, but not done: told of again, not written again"
    assert [m.frame.captured_ns for m in retold] == [m.frame.captured_ns for m in first[4:]]  # type: ignore[union-attr]
    assert after.frame.frame_id == 6
    assert abs(float(ring.read(6).mean()) - 30) < 4  # type: ignore[union-attr]


def test_frames_are_told_of_again_when_the_slowest_reader_stands_still() -> None:
    ring = LocalRing(slots=8)
    cell = ring.register("track")
    told = AnnouncedFrames(ring)
    messages = [message_of(ring) for _ in range(5)]
    for message in messages:
        told.add(message)
    cell.done(1)

    assert told.again(10.0) == []
    assert told.again(11.0) == []
    assert told.again(12.5) == messages[2:]
    assert told.again(13.0) == []
    cell.done(4)
    assert told.again(14.6) == [], "it moved"
    assert told.all_done()


def test_looping_file_goes_on_with_rising_times(clip: Path) -> None:
    config = load.build({"cameras": [{"name": "a", "source": str(clip), "loop": True}]}, where="test")
    messages = list(itertools.islice(capture(ticks(), Rings({"a": LocalRing()}), config), 90))

    times = [message.frame.pts_s for message in messages]
    assert times == sorted(times)
    assert len(set(times)) == 90


def test_looping_file_that_is_captured_anew_goes_on_in_time(clip: Path) -> None:
    """As after a reload that turned it. A recording and the tracks would stand still otherwise."""
    config = load.build({"cameras": [{"name": "a", "source": str(clip), "loop": True}]}, where="test")
    ring = LocalRing(slots=8)
    times = []
    for _ in range(2):
        messages = list(itertools.islice(capture(ticks(), Rings({"a": ring}), config), 30))
        times += [message.frame.pts_s for message in messages]
    steps = np.diff(times)
    assert (steps > 0).all()
    assert steps.max() < 0.1


def test_stop_ends_a_file_between_two_frames(clip: Path) -> None:
    messages = list(capture(itertools.islice(ticks(), 10), Rings({"a": LocalRing()}), config_of(clip)))

    assert len(messages) == 10


def test_damaged_file_raises_a_sentence(tmp_path: Path) -> None:
    path = tmp_path / "no.mp4"
    path.write_text("this is not a video")

    with pytest.raises(SourceError, match=r"no\.mp4"):
        list(capture(ticks(), Rings({"a": LocalRing()}), config_of(path)))


def message_of(ring: LocalRing) -> Captured:
    from tests.support.stage_messages import frame_of

    return Captured(frame=frame_of(ring.write(np.zeros((4, 4, 3), np.uint8))))


def stream_config(url: str) -> Config:
    camera = {"name": "a", "source": url, "open_timeout_s": 0.5, "read_timeout_s": 0.5}
    return load.build({"cameras": [camera]}, where="test")


def test_stream_that_ends_is_opened_again_and_that_is_counted(clip: Path, serve: Callable[..., str]) -> None:
    running = capture(ticks(), Rings({"a": LocalRing()}), stream_config(serve(clip)))
    seen: list[Captured | Dropped] = []
    for message in running:
        seen.append(message)
        reconnects = [i for i, m in enumerate(seen) if isinstance(m, Dropped) and m.reason == "reconnect"]
        if len(reconnects) == 1 and isinstance(message, Captured):
            break

    frames = [message.frame for message in seen if isinstance(message, Captured)]
    assert all(frame.live for frame in frames)
    unread = sum(m.count for m in seen if isinstance(m, Dropped) and m.reason == "unread")
    assert [frame.frame_id for frame in frames] == sorted({frame.frame_id for frame in frames})
    assert frames[-1].frame_id + 1 <= len(frames) + unread, "only frames that were left out have no number"
    assert [frame.captured_ns for frame in frames] == sorted(frame.captured_ns for frame in frames)


@pytest.mark.parametrize("pace", ["live", "every-frame"])
def test_film_on_a_web_server_is_played_once_at_its_own_rate(clip: Path, pace: str) -> None:
    with serving_file(clip) as url:
        camera = {"name": "a", "source": url}
        config = load.build({"cameras": [camera], "pipeline": {"pace": pace}}, where="test")
        messages = list(capture(ticks(), Rings({"a": LocalRing(slots=64)}), config))

    assert all(isinstance(message, Captured) for message in messages)
    frames = [message.frame for message in messages if isinstance(message, Captured)]
    assert [round(frame.pts_s * 100) for frame in frames] == list(range(40))
    assert not any(frame.live for frame in frames)
    if pace == "live":
        assert (frames[-1].captured_ns - frames[0].captured_ns) * 1e-9 >= 0.38


def test_camera_of_the_web_is_refused_where_every_frame_counts() -> None:
    with serving(stream_of(Shape())) as port:
        config = config_of(Path("x"))
        camera = msgspec.structs.replace(config.cameras[0], source=f"http://127.0.0.1:{port}/")
        with pytest.raises(SourceError, match="a camera can't wait"):
            list(capture(ticks(), Rings({"a": LocalRing()}), msgspec.structs.replace(config, cameras=(camera,))))


def test_address_that_sends_pictures_is_decoded_here_although_decode_is_there(tmp_path: Path) -> None:
    name = f"{segment_name('pictures')}.packets"
    with serving(stream_of(Shape())) as port, PacketRing.create(name, data_bytes=1 << 16) as packets:
        camera = {"name": "a", "source": f"http://127.0.0.1:{port}/", "decoder": "shared"}
        config = load.build({"cameras": [camera]}, where="test")
        running = capture(ticks(), Rings({"a": LocalRing()}, {"a": name}), config)
        first = next(message for message in running if isinstance(message, Captured))
        running.close()
        assert first.frame.live
        assert packets.cursor == 0


def test_single_picture_is_no_loss_after_each() -> None:
    class Snapshot(Camera):
        def reply(self) -> None:
            self.answer(200, {"Content-Type": "image/jpeg"}, picture(self.gets))

    with serving(Snapshot) as port:
        camera = {"name": "a", "source": f"http://127.0.0.1:{port}/a.jpg", "fps": 20}
        config = load.build({"cameras": [camera]}, where="test")
        running = capture(ticks(), Rings({"a": LocalRing()}), config)
        messages = list(itertools.islice(running, 4))
        running.close()
    assert all(isinstance(message, Captured) and message.frame.live for message in messages)


def test_stream_that_never_answers_does_not_hold_the_loop(silent_peer: str) -> None:
    """Ticks go on, so the process beats on, and a stop is heard."""
    config = stream_config(f"http://{silent_peer}/live")
    turns = 0

    def counted() -> Iterator[Tick]:
        nonlocal turns
        for turns in range(1, 40):  # noqa: B007
            yield Tick()

    messages = list(capture(counted(), Rings({"a": LocalRing()}), config))

    assert turns == 39
    assert Dropped(camera="a", reason="reconnect") in messages


class ToldTicks:
    """Ticks that keep what they were told, between those that were asked for."""

    def __init__(self) -> None:
        self.log: list[str] = []

    def __iter__(self) -> "ToldTicks":
        return self

    def __next__(self) -> Tick:
        self.log.append("tick")
        return Tick()

    def opens(self, limit_s: float) -> None:
        self.log.append(f"opens {limit_s:g}")


def test_file_that_opens_again_says_so_before_it_closes_and_opens(clip: Path) -> None:
    config = load.build({"cameras": [{"name": "a", "source": str(clip), "loop": True}]}, where="test")
    told = ToldTicks()
    running = capture(told, Rings({"a": LocalRing()}), config)
    list(itertools.islice(running, 39))
    assert "opens 60" not in told.log
    list(itertools.islice(running, 2))
    assert told.log.count("opens 60") == 2  # a GPU's driver may take as long to close the file as to open it


def test_camera_says_that_it_opens_until_it_is_open(silent_peer: str) -> None:
    told = ToldTicks()
    config = stream_config(f"http://{silent_peer}/live")
    assert next(capture(told, Rings({"a": LocalRing()}), config)) == Dropped(camera="a", reason="reconnect")
    assert told.log[:3] == ["opens 60", "tick", "opens 60"]
    assert told.log[-1] == "opens 60"
