"""GStreamer pipelines as sources, run by the real gst-launch-1.0 where it is installed."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from itertools import islice, repeat
from pathlib import Path

import av
import msgspec
import numpy as np
import pytest

from jetstream import startup
from jetstream.config import load
from jetstream.errors import SourceError
from jetstream.ipc.ring import LocalRing
from jetstream.ipc.rings import Rings
from jetstream.masking import secrets_in
from jetstream.messages import Captured, Dropped, Tick
from jetstream.stages.capture import capture
from jetstream.video import address, gstreamer, gstreamer_process, nvdec
from jetstream.video.address import is_live, kind_of, shown
from jetstream.video.live import NewestFrame
from tests.support.defaults import open_source, probe
from tests.support.repository import REPOSITORY
from tests.support.waiting import PATIENCE_S, wait_until

SMALL = "video/x-raw,width=64,height=48,framerate=25/1"
launched = pytest.mark.skipif(
    shutil.which(gstreamer_process.PROGRAM) is None, reason="no gst-launch-1.0 here; install gstreamer1.0-tools"
)


def element(name: str) -> None:
    """Skip the test where GStreamer lacks it."""
    if subprocess.run(["gst-inspect-1.0", name], capture_output=True, check=False).returncode:
        pytest.skip(f"GStreamer has no {name} here")


def processes_with(words: str) -> list[int]:
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if words.encode() in path.read_bytes().replace(b"\0", b" "):
                found.append(int(path.parent.name))
        except OSError:  # ended since it was listed
            continue
    return [pid for pid in found if pid != os.getpid()]


@pytest.fixture
def mark(request: pytest.FixtureRequest) -> Iterator[str]:
    """Words of a pipeline that only this test's child has; the child must be gone at the test's end."""
    words = f"videotestsrc name=t{abs(hash(request.node.name))}x{os.getpid()}"
    yield words
    left = processes_with(words)
    for pid in left:
        os.kill(pid, signal.SIGKILL)
    assert not left


@launched
@pytest.mark.parametrize("width", [320, 321, 322, 323])
def test_frames_have_their_size_colours_times_and_number(width: int) -> None:
    """Rows of odd widths are padded to 4 bytes on the way."""
    spec = f"gst: videotestsrc num-buffers=7 pattern=smpte ! video/x-raw,width={width},height=241,framerate=10/1"
    with open_source(spec, every_frame=True) as source:
        frames = list(source)
        assert source.warning is None
    assert [frame.image.shape for frame in frames] == [(241, width, 3)] * 7
    assert [frame.pts_s for frame in frames] == pytest.approx([index / 10 for index in range(7)], abs=0.002)
    bars = [frames[-1].image[120, int((bar + 0.5) * width / 7)] for bar in range(7)]
    white, yellow, cyan, green = (255, 255, 255), (0, 255, 255), (255, 255, 0), (0, 255, 0)
    magenta, red, blue = (255, 0, 255), (0, 0, 255), (255, 0, 0)
    assert np.allclose(bars, [white, yellow, cyan, green, magenta, red, blue], atol=3)


@launched
def test_size_and_rate_that_the_pipeline_leaves_open_are_found() -> None:
    found = probe("gst: videotestsrc")
    assert (found.kind, found.width, found.height, found.live) == ("pipeline", 320, 240, True)
    assert str(found) == "gst: videotestsrc (320x240, 30 fps)"
    assert probe("gst: videotestsrc is-live=true ! video/x-raw,framerate=0/1").fps is None


@launched
def test_large_frames_are_scaled_down_and_thinned() -> None:
    spec = "gst: videotestsrc num-buffers=20 ! video/x-raw,width=640,height=360,framerate=20/1"
    with open_source(spec, every_frame=True, max_width=200, max_height=200, fps_limit=5) as source:
        assert [frame.image.shape for frame in source] == [(112, 200, 3)] * 5


@launched
@pytest.mark.parametrize(("aspect", "size"), [("16/15", (768, 576)), ("64/45", (1024, 576)), ("1/1", (720, 576))])
def test_pixels_of_the_pipelines_aspect_become_square(aspect: str, size: tuple[int, int]) -> None:
    caps = f"video/x-raw,width=720,height=576,pixel-aspect-ratio={aspect}"
    spec = f"gst: videotestsrc num-buffers=2 ! {caps}"
    with open_source(spec, every_frame=True) as source:
        assert [frame.image.shape for frame in source] == [(size[1], size[0], 3)] * 2
    with open_source(spec, every_frame=True, rotate=90, max_width=1080, max_height=1920) as source:
        assert next(source).image.shape == (size[0], size[1], 3)


@launched
def test_a_frame_does_not_wait_for_the_next() -> None:
    """At one frame a second, the second must be there well before the third."""
    with open_source("gst: videotestsrc is-live=true ! video/x-raw,width=64,height=48,framerate=1/1") as source:
        next(source)
        start_s = time.monotonic()
        next(source)
        assert 0.5 < time.monotonic() - start_s < 1.5


@launched
@pytest.mark.parametrize("decoder", ["avdec_h264", "openh264dec"])
def test_h264_file_gives_every_frame(
    clip: Callable[..., Path], number: Callable[[np.ndarray], int], decoder: str
) -> None:
    element(decoder)
    path = clip("a clip.mp4", size=(320, 240), options={"bf": "0"})
    spec = f'gst: filesrc location="{path}" ! qtdemux ! h264parse ! {decoder}'
    with open_source(spec, every_frame=True) as source:
        assert [number(frame.image) for frame in source] == list(range(60))


@launched
@pytest.mark.parametrize(
    ("pipeline", "sentence"),
    [
        ("nosuchelement ! x", 'GStreamer says: no element "nosuchelement"; correct the pipeline, or install what'),
        ("videotestsrc foo=1", 'GStreamer says: no property "foo" in element "videotestsrc"; correct'),
        ("videotestsrc ! ! x", "GStreamer says: syntax error; correct"),
        ("videotestsrc ! video/x-raw(memory:NVMM)", "can't handle caps video/x-raw"),
        ("audiotestsrc", "could not link audiotestsrc0 to videoconvert0; correct"),
        ("fakesrc", r"fakesrc0: Internal data stream error \(not-negotiated\)"),
        ("filesrc location=/no/such/file ! decodebin", "filesrc0: Resource not found; check its camera, address"),
        ("videotestsrc num-buffers=0", "it ended before its first frame; check the pipeline"),
        ("-v videotestsrc", "GStreamer says: syntax error"),
    ],
)
def test_pipeline_that_fails_to_start_is_one_sentence(pipeline: str, sentence: str) -> None:
    with pytest.raises(SourceError, match=sentence) as caught:
        open_source(f"gst: {pipeline}", open_timeout_s=60)
    assert "\n" not in str(caught.value)


def test_pipeline_that_stands_still_after_an_error_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As gst-launch-1.0 1.22 does on a busy machine, when its first error comes too early; here it always does."""
    program = tmp_path / gstreamer_process.PROGRAM
    program.write_text(
        "#!/bin/sh\necho 'ERROR: from element /GstPipeline:pipeline0/GstFakeSrc:a: No.'\nexec sleep 600\n"
    )
    program.chmod(0o700)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    start_s = time.monotonic()
    with pytest.raises(SourceError, match="GStreamer says: a: No; check its camera, address or file"):
        open_source("gst: fakesrc", open_timeout_s=300)
    assert time.monotonic() - start_s < PATIENCE_S


@pytest.mark.parametrize(
    ("spec", "sentence"),
    [
        ("gst:", "no pipeline; write one after it"),
        ("gst: ! !", "no pipeline"),
        ("gst: videotestsrc name='x", "a quotation mark isn't closed"),
        ("gst: videotestsrc ! autovideosink", "remove autovideosink at its end"),
        ("gst: videotestsrc ! appsink drop=true", "remove appsink at its end"),
    ],
)
def test_what_is_no_pipeline_is_said_before_anything_runs(spec: str, sentence: str) -> None:
    with pytest.raises(SourceError, match=sentence):
        open_source(spec)


def test_missing_gst_launch_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SourceError, match=r"no gst-launch-1\.0 here; install the package gstreamer1\.0-tools"):
        open_source("gst: videotestsrc")
    assert gstreamer_process.version() is None


@launched
def test_pictures_that_change_their_size_are_refused_after_the_whole_ones(clip: Callable[..., Path]) -> None:
    element("avdec_h264")
    path = clip("c.ts", frames=20, options={"bf": "0"})
    path.write_bytes(path.read_bytes() + clip("d.ts", frames=20, size=(320, 240), options={"bf": "0"}).read_bytes())
    got = []
    with (
        open_source(f"gst: filesrc location={path} ! tsdemux ! h264parse ! avdec_h264", every_frame=True) as source,
        pytest.raises(SourceError, match="its frames changed their size or format; make both constant"),
    ):
        got.extend(frame.image.shape for frame in source)
    assert len(got) >= 18
    assert set(got) == {(120, 160, 3)}


@launched
def test_pipeline_without_a_frame_is_given_up_in_time(mark: str) -> None:
    start_s = time.monotonic()
    with pytest.raises(SourceError, match=r"no frame within 0\.5 s; check that its camera is on"):
        open_source(f"gst: {mark} ! valve drop=true", open_timeout_s=0.5, read_timeout_s=300)
    assert time.monotonic() - start_s < PATIENCE_S


@launched
def test_pipeline_that_hangs_is_given_up_in_time(mark: str) -> None:
    with open_source(f"gst: {mark} is-live=true ! {SMALL}", read_timeout_s=0.7) as source:
        (child,) = processes_with(mark)
        next(source)
        os.kill(child, signal.SIGSTOP)
        start_s = time.monotonic()
        with pytest.raises(SourceError, match=r"no frame within 0\.7 s"):
            list(source)
    assert time.monotonic() - start_s > 0.6


@launched
def test_killed_child_is_said(mark: str) -> None:
    with open_source(f"gst: {mark} is-live=true ! {SMALL}") as source:
        next(source)
        os.kill(processes_with(mark)[0], signal.SIGKILL)
        with pytest.raises(SourceError, match=r"gst-launch-1\.0 was ended by SIGKILL; run the pipeline by hand"):
            list(source)


@launched
@pytest.mark.parametrize("reads", [0, 1])
def test_closing_ends_a_child_that_is_blocked_writing(mark: str, reads: int) -> None:
    source = open_source(f"gst: {mark} ! video/x-raw,width=1920,height=1080")
    for _ in range(reads):
        next(source)
    time.sleep(0.2)
    start_s = time.monotonic()
    source.close()
    source.close()
    assert time.monotonic() - start_s < PATIENCE_S
    assert not processes_with(mark)


@launched
def test_newest_frame_counts(mark: str) -> None:
    with NewestFrame(lambda: open_source(f"gst: {mark} is-live=true ! {SMALL}")) as newest:
        assert newest.get(PATIENCE_S) is not None
        wait_until(lambda: newest.unread > 3)  # nobody takes them
        assert newest.get(PATIENCE_S) is not None
    wait_until(lambda: not processes_with(mark))


@launched
def test_child_dies_with_a_killed_process(mark: str) -> None:
    code = f"from tests.support.defaults import open_source; s = open_source('gst: {mark} ! {SMALL}'); next(s); input()"
    child = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE)
    try:
        wait_until(lambda: any(pid != child.pid for pid in processes_with(f"-- {mark}")))
    finally:
        child.kill()
        child.wait()
    wait_until(lambda: not processes_with(mark))


def config_of(source: str, pace: str, **keys: object) -> load.Config:
    camera = {"name": "a", "source": source, **keys}
    return load.build({"cameras": [camera], "pipeline": {"pace": pace}}, where="test")


@launched
def test_every_frame_pace_takes_a_pipeline_as_a_file(mark: str) -> None:
    config = config_of(f"gst: {mark} num-buffers=30 ! {SMALL}", "every-frame")
    assert [line.startswith("camera a: gst: videotestsrc") for line in startup.check_sources(config)] == [True]
    messages = list(capture(repeat(Tick()), Rings({"a": LocalRing(slots=64)}), config))
    assert [message.frame.frame_id for message in messages if isinstance(message, Captured)] == list(range(30))
    assert not any(message.frame.live for message in messages if isinstance(message, Captured))


@launched
def test_live_pipeline_that_ends_is_opened_again(mark: str) -> None:
    config = config_of(f"gst: {mark} num-buffers=5 is-live=true ! {SMALL}", "live")
    running = capture(islice(repeat(Tick()), 600), Rings({"a": LocalRing(slots=64)}), config)
    assert any(isinstance(message, Dropped) and message.reason == "reconnect" for message in running)
    again = next(running)
    running.close()
    assert isinstance(again, Captured)
    assert again.frame.live
    wait_until(lambda: not processes_with(mark))


def test_kind_and_liveness_of_a_pipeline() -> None:
    assert kind_of("gst: videotestsrc") == "pipeline"
    assert is_live("gst: videotestsrc")
    assert not is_live("gst: videotestsrc", every_frame=True)
    assert load.camera_name("gst: rtspsrc location=rtsp://me:secret@host/x user-pw=geheim") == "pipeline"


def test_passwords_in_a_pipeline_are_not_shown() -> None:
    spec = "gst: rtspsrc location=rtsp://me:secret@host/x?pin=1234 user-id=me user-pw='ge heim' ! rtph264depay"
    assert shown(spec) == "gst: rtspsrc location=rtsp://***@host/x?pin=*** user-id=*** user-pw=*** ! rtph264depay"
    config = startup.masked_sources(config_of(spec, "live"))
    assert config.cameras[0].source == shown(spec)
    assert shown("gst: x 'secret") == "gst: (a pipeline)"
    assert len(shown("gst: " + "identity ! " * 50)) <= address.LONGEST_PIPELINE
    assert {"ge heim", "secret", "1234"} <= set(secrets_in(spec))


@launched
def test_passwords_in_what_gstreamer_prints_are_not_told() -> None:
    with pytest.raises(SourceError) as caught:
        open_source("gst: videotestsrc name=rtsp://me:geheim@host/x pattern=rtsp://me:geheim@host/x")
    assert "geheim" not in str(caught.value)
    with pytest.raises(SourceError) as caught:
        open_source("gst: souphttpsrc location=http://me:geheim@127.0.0.1:9/x ! decodebin")
    assert "geheim" not in str(caught.value)


@pytest.mark.parametrize("name", ["jetson.toml", "server.toml"])
def test_lines_to_put_into_a_config_are_pipelines(name: str) -> None:
    """Their elements are NVIDIA's; what can be told here is that TOML and the splitting of words take them whole."""
    text = (REPOSITORY / "configs" / name).read_text()
    lines = [line.removeprefix("# ") for line in text.splitlines() if line.startswith("# source = ")]
    assert lines
    for line in lines:
        source = load.build({"cameras": [{"name": "a", **msgspec.toml.decode(line)}]}, where=name).cameras[0].source
        assert kind_of(source) == "pipeline"
        assert gstreamer.words_of(source).count("!") == source.count("!") >= 2


def test_cuda_is_refused_where_there_is_none(
    clip: Callable[..., Path], number: Callable[[np.ndarray], int], no_gpu: None
) -> None:
    path = clip("clip.mp4", frames=3)
    with pytest.raises(SourceError, match=r'clip\.mp4: .*; see `jetstream doctor`, or set .* decoder to "cpu"'):
        open_source(str(path), cuda_device=0)
    config = config_of(str(path), "every-frame", decoder="cuda")
    with pytest.raises(SourceError, match="decoder"):
        next(capture(repeat(Tick()), Rings({"a": LocalRing()}), config))


def need_cuda() -> None:
    try:
        nvdec.refuse_missing(0)
    except SourceError as missing:
        pytest.skip(str(missing))


@pytest.mark.gpu
def test_cuda_decodes_what_the_cpu_does(data_dir: Path) -> None:
    need_cuda()
    path = str(data_dir / "video" / "friends_dev.mp4")
    with open_source(path, cuda_device=0) as source, open_source(path) as other:
        pairs = 0
        for one, two in zip(source, other, strict=True):
            assert one.pts_s == two.pts_s
            assert np.abs(one.image.astype(int) - two.image).mean() < 2
            pairs += 1
    assert pairs == 401


def test_cuda_refuses_what_it_does_not_decode(
    tmp_path: Path, serve: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """PyAV asks no GPU about a codec that none decodes."""
    monkeypatch.setattr(nvdec, "refuse_missing", lambda cuda_device: None)
    path = tmp_path / "clip.avi"
    with av.open(str(path), "w") as output:
        stream = output.add_stream("ffv1", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        output.mux(stream.encode(av.VideoFrame.from_ndarray(np.zeros((48, 64, 3), np.uint8), "bgr24")))
        output.mux(stream.encode(None))
    with pytest.raises(SourceError, match=r"the GPU doesn't decode (ffv1|its video); set the camera's decoder"):
        open_source(str(path), cuda_device=0)
    with pytest.raises(SourceError, match="the GPU doesn't decode"):
        open_source(serve(path), cuda_device=0)
