"""The stage encode: a list of tracked frames in, fragments of MP4 out."""

import itertools
import math
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import msgspec
import numpy as np
import pytest

from jetstream.capturing import camera_encoder, fragment_places
from jetstream.capturing.camera_encoder import CameraEncoder
from jetstream.config.schema import Config
from jetstream.ipc.rings import Rings
from jetstream.messages import Dropped, Finished, Tick, Tracked, TrackedFace
from jetstream.stages.encode import encode
from jetstream.video.gop.fragment_folder import FragmentFolder, StoredFragment, fragments_in
from tests.support.fulldisk import files_of_at_most
from tests.support.numbered_films import numbered, shown_numbers
from tests.support.stage_messages import FACE, config_of, frame_of, rings_for

BEGIN_NS = 5_000_000_000_000
TIMES_S = [0.1 * number + (0.03 if number % 3 == 1 else 0.0) for number in range(60)]


@pytest.fixture(autouse=True)
def memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stands in for shared memory."""
    monkeypatch.setattr(fragment_places, "SHARED_MEMORY", tmp_path)
    return tmp_path


def config_with(folder: Path, **tables: Any) -> Config:
    return config_of(folder, clips={"dir": str(folder / "clips")}, pipeline={"run_dir": str(folder)}, **tables)


def at(number: int, time_s: float, *faces: TrackedFace) -> Tracked:
    frame = msgspec.structs.replace(frame_of(number), captured_ns=BEGIN_NS + round(time_s * 1e9))
    return Tracked(frame=frame, faces=faces)


def rings_of(config: Config, images: Sequence[np.ndarray]) -> Rings:
    rings = rings_for(config)
    for image in images:
        rings["a"].write(image)
    return rings


def run(config: Config, images: Sequence[np.ndarray], times_s: Sequence[float], *faces: TrackedFace) -> list[Any]:
    messages = [at(number, time_s, *faces) for number, time_s in enumerate(times_s)]
    return list(encode(iter([*messages, Tick()]), rings_of(config, images), config))


def stored(config: Config) -> list[StoredFragment]:
    return fragments_in(fragment_places.encoded_of("a", config))


def film_of(config: Config, path: Path, fragments: Sequence[StoredFragment] | None = None) -> Path:
    """The fragments of one connection as a film."""
    contents = [one.read(fragment_places.encoded_of("a", config)) for one in fragments or stored(config)]
    whole = [content for content in contents if content is not None]
    path.write_bytes(whole[0][0] + b"".join(data for _, data in whole))
    return path


@pytest.mark.parametrize("codec", ["h264", "mpeg4"])
def test_fragments_have_every_frame_at_its_time(tmp_path: Path, codec: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if codec == "mpeg4":
        monkeypatch.setattr(av, "codecs_available", av.codecs_available - {"libx264"})
    config = config_with(tmp_path)
    messages = run(config, [numbered(number) for number in range(60)], TIMES_S)

    assert messages == [Finished(frame=at(number, time_s).frame) for number, time_s in enumerate(TIMES_S)]
    fragments, film = stored(config), film_of(config, tmp_path / "film.mp4")
    assert shown_numbers(film) == list(range(60))
    assert fragments[-1].end_ns == pytest.approx(fragments[-1].last_ns + 1e9 / 25, abs=1e6)
    with av.open(str(film)) as container:
        stream = container.streams.video[0]
        assert stream.codec_context.name == codec
        packets = [packet for packet in container.demux(stream) if packet.size]
        times_s = [float(packet.pts * Fraction(packet.time_base)) for packet in packets]
        keys_s = [time_s for packet, time_s in zip(packets, times_s, strict=True) if packet.is_keyframe]
    assert times_s == pytest.approx(TIMES_S, abs=1e-4)
    assert max(np.diff([*keys_s, TIMES_S[-1]])) <= 2.1
    assert [fragments[0].base_ns, fragments[0].first_ns] == [BEGIN_NS, BEGIN_NS]
    assert fragments[-1].last_ns == BEGIN_NS + round(TIMES_S[-1] * 1e9)
    assert all(one.last_ns - one.first_ns <= 1.2e9 for one in fragments)
    assert all((path.stat().st_mode & 0o077) == 0 for path in fragment_places.encoded_of("a", config).iterdir())


def test_another_size_begins_another_header_and_odd_ones_grow(tmp_path: Path) -> None:
    config = config_with(tmp_path)
    wide = np.full((121, 241, 3), 90, np.uint8)
    images = [numbered(number, wide if number >= 20 else None) for number in range(40)]
    run(config, images, [0.1 * number for number in range(40)])

    fragments = stored(config)
    headers = list(dict.fromkeys(one.header for one in fragments))
    assert len(headers) == 2
    assert all(later.begin_ns >= one.end_ns for one, later in itertools.pairwise(fragments))
    for header, numbers, size in zip(headers, (range(20), range(20, 40)), ((120, 160), (122, 242)), strict=True):
        film = film_of(config, tmp_path / f"{header}.mp4", [one for one in fragments if one.header == header])
        with av.open(str(film)) as container:
            images = [frame.to_ndarray(format="bgr24") for frame in container.decode(video=0)]
        assert len(images) == len(numbers)
        assert images[0].shape[:2] == size


def test_encoder_that_starts_again_goes_on_under_the_same_header(tmp_path: Path) -> None:
    config = config_with(tmp_path)
    for begin_s in (0.0, 3.0):
        run(config, [numbered(number) for number in range(20)], [begin_s + 0.1 * number for number in range(20)])

    fragments = stored(config)
    assert len({one.header for one in fragments}) == 1
    assert [one.number for one in fragments] == list(range(len(fragments)))
    assert {one.base_ns for one in fragments} == {BEGIN_NS, BEGIN_NS + 3_000_000_000}


def test_what_a_silent_camera_has_sent_is_stored(tmp_path: Path) -> None:
    config = config_with(tmp_path)
    rings, camera = rings_of(config, [numbered(number) for number in range(5)]), CameraEncoder("a", config)
    for number in range(5):
        assert camera.add(at(number, 0.1 * number), rings, 100.0 + 0.1 * number) is None
    counts = []
    for now_s in (100.4 + camera_encoder.SILENT_S, 100.5 + camera_encoder.SILENT_S):
        camera.end_if_silent(now_s)
        counts.append(len(stored(config)))

    assert counts == [0, 1]
    assert shown_numbers(film_of(config, tmp_path / "film.mp4")) == list(range(5))


def detail(config: Config, path: Path) -> float:
    """How much neighbours differ inside the box of FACE, in the first picture."""
    with av.open(str(film_of(config, path))) as container:
        image = next(container.decode(video=0)).to_ndarray(format="gray").astype(int)
    x1, y1, x2, y2 = (round(value) for value in FACE.box)
    return float(np.abs(np.diff(image[y1 + 4 : y2 - 4, x1 + 4 : x2 - 4], axis=1)).max())


@pytest.mark.parametrize(
    ("blur", "name", "hidden"),
    [("none", None, False), ("unknown", None, True), ("unknown", "Ada", False), ("all", "Ada", True)],
)
def test_faces_are_hidden_as_in_recordings_and_nothing_is_drawn(
    tmp_path: Path, blur: str, name: str | None, hidden: bool
) -> None:
    config = config_with(tmp_path, render={"blur": blur})
    chequered = np.kron(np.indices((23, 40)).sum(0)[:, :, None] % 2 * 255, np.ones((4, 4, 3))).astype(np.uint8)[:90]
    run(config, [chequered], [0.0], msgspec.structs.replace(FACE, name=name))

    assert (detail(config, tmp_path / "film.mp4") < 5) is hidden
    plain = run_without_faces(tmp_path, chequered)
    if not hidden:
        assert np.array_equal(picture_in(film_of(config, tmp_path / "film.mp4")), picture_in(plain))


def run_without_faces(folder: Path, image: np.ndarray) -> Path:
    config = config_of(folder, clips={"dir": str(folder / "clips")}, pipeline={"run_dir": str(folder / "other")})
    run(config, [image], [0.0])
    return film_of(config, folder / "plain.mp4")


def picture_in(film: Path) -> np.ndarray:
    with av.open(str(film)) as container:
        return next(container.decode(video=0)).to_ndarray(format="bgr24")


def test_what_was_blurred_less_is_in_another_folder(tmp_path: Path) -> None:
    folders = {fragment_places.encoded_of("a", config_with(tmp_path, render={"blur": blur})) for blur in BLURS}
    assert len(folders) == len(BLURS)


BLURS = ("none", "unknown", "all")


@pytest.mark.parametrize("blur", ["none", "all"])
def test_camera_whose_packets_are_copied_is_left_alone_unless_faces_are_hidden(tmp_path: Path, blur: str) -> None:
    config = config_with(tmp_path, render={"blur": blur})
    rings = rings_of(config, [numbered(number) for number in range(30)])
    copied = FragmentFolder(fragment_places.copied_of("a", config), keep_ns=10**10, most_bytes=10**8)
    copied.claim()
    camera = CameraEncoder("a", config)
    for number in range(20):
        camera.add(at(number, 0.1 * number), rings, 0.1 * number)
    camera.end()
    assert bool(stored(config)) is (blur == "all")

    copied.clear()  # its source sends something else now
    for number in range(20, 30):
        camera.add(at(number, 0.1 * number), rings, 0.1 * number)
    camera.end()
    assert shown_numbers(film_of(config, tmp_path / "film.mp4", stored(config)[-1:]))[-1] == 29


def test_frame_that_left_the_ring_is_counted(tmp_path: Path) -> None:
    config = config_with(tmp_path)
    rings = rings_for(config, slots=2)
    for number in range(4):
        rings["a"].write(numbered(number))
    messages = list(encode(iter([at(number, 0.1 * number) for number in range(4)]), rings, config))

    assert messages.count(Dropped(camera="a", reason="lapped")) == 2
    assert len([one for one in messages if isinstance(one, Finished)]) == 4


def test_no_encoder_is_one_sentence_and_every_frame_is_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(av, "codecs_available", frozenset())
    messages = run(config_with(tmp_path), [numbered(number) for number in range(5)], TIMES_S[:5])

    assert messages.count(Dropped(camera="a", reason="clips")) == 5
    (said,) = caplog.records
    assert said.getMessage() == (
        "a: its newest seconds can't be kept for clips (no encoder for h264 or mpeg4 here; install `av` as a wheel "
        "from PyPI)"
    )


def test_full_memory_is_one_sentence_and_it_goes_on(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    config = config_with(tmp_path)
    rings, camera = rings_of(config, [numbered(number) for number in range(60)]), CameraEncoder("a", config)
    lost = []
    with caplog.at_level("INFO", logger="jetstream"):
        with files_of_at_most(300):
            lost += [camera.add(at(number, 0.1 * number), rings, 0.1 * number) for number in range(30)]
        lost += [camera.add(at(number, 0.1 * number), rings, 0.1 * number) for number in range(30, 60)]
        camera.end()

    assert 2 <= lost.count("clips") <= 3
    said = [record.getMessage() for record in caplog.records]
    assert [one.partition("can't be")[2] or one for one in said] == [
        " kept for clips (File too large)",
        "a: the newest seconds are kept again for clips",
    ]
    assert math.isclose(stored(config)[-1].last_ns, BEGIN_NS + 5.9e9)
