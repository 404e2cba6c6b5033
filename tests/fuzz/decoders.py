"""Every place that reads what another program, a file or a user wrote: what it is given, and how it may refuse."""

import io
import socket
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np

from jetstream.alerts.http_post import post_over
from jetstream.backup import manifest as backup_manifest
from jetstream.backup import read as archive
from jetstream.backup.content import BackupContent, BackupItem
from jetstream.backup.manifest import BackupFile, BackupFolder, BackupManifest
from jetstream.backup.write import ArchiveWriter
from jetstream.config import load, secrets
from jetstream.config.schema import CameraConfig, Config
from jetstream.errors import GARBLED, JetstreamError
from jetstream.evaluation import ground_truth
from jetstream.events import event_of, gallery_topic_of, topic_of
from jetstream.gallery import audit, store
from jetstream.ipc import layout
from jetstream.ipc.ring import Ring
from jetstream.ipc.rings import Rings
from jetstream.masking import holds_password, masked, secrets_in
from jetstream.messages import (
    Captured,
    Detected,
    Ended,
    Face,
    FrameRef,
    Heartbeat,
    InUse,
    Message,
    NameCandidate,
    Named,
    NamedFace,
    ProcessStatus,
    Span,
    Spans,
    Status,
    Tracked,
    TrackedFace,
    Wanted,
    WantedFace,
)
from jetstream.mqtt import retained
from jetstream.mqtt.retained import RetainedTopics
from jetstream.newest_lines import LogLine
from jetstream.picture_format import PictureFormat
from jetstream.recording import library, retention
from jetstream.recording.events_file import cut_to_last_line, last_event
from jetstream.runtime import switches
from jetstream.runtime.run_dir import RINGS, RunDir
from jetstream.topic import keys, subscriber
from jetstream.topic.zap import DOMAIN, ZapAuthenticator
from jetstream.video import address, ffmpeg, file_kinds, images, motion_jpeg, mp4_repair
from jetstream.video.cropping import crop_of
from jetstream.video.gop import ring as packets
from jetstream.video.gop.description import StreamDescription, described
from jetstream.video.gop.ring import SMALLEST_BYTES, PacketRing
from jetstream.vision.recognition.counter_examples import CounterLooks
from tests.support import defaults
from tests.support.clips import cropped_videos
from tests.support.nv12 import noise_nv12
from tests.support.picture_files import MOVING, NOT_READ, STILL
from tests.support.repository import REPOSITORY

NOWHERE = Path("fuzz")
CONFIGS = REPOSITORY / "configs"
POINTS = (1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0)


class Decoder(NamedTuple):
    name: str
    seeds: list[bytes]
    decode: Callable[[bytes], Any]
    refuses: tuple[type[Exception], ...]  # what its callers expect of it, and handle

    def takes(self, data: bytes) -> bool:
        """Whether it decodes `data`; any other error than its callers expect is raised."""
        try:
            self.decode(data)
        except self.refuses:
            return False
        return True


def _messages() -> dict[type[Message], Message]:
    frame = FrameRef(camera="door", frame_id=70000, captured_ns=1 << 40, wall_ns=1 << 60, pts_s=2.5, live=True)
    vote = NameCandidate(name="Zoë", log_odds=5.1, answers=4, photo="Zoë/1.jpg", distance=0.31)
    tracked = TrackedFace(7, "confirmed", (1.5, 2.5, 60.0, 70.0), 0.99, POINTS, "Zoë", 0.9, 1.5, (vote, vote))
    beat = Heartbeat("detect", 4242, 100, 24.9, 12.0, 30.0, {}, {"late": 3})
    told = (
        Captured(frame=frame),
        Detected(frame=frame, faces=(Face((1.0, 2.0, 3.0, 4.0), 0.99, POINTS),) * 3, cut=True),
        Wanted(frame=frame, faces=(WantedFace(7, POINTS),)),
        Named(frame=frame, faces=(NamedFace(7, "Zoë", 0.9, 0.3, "Zoë", "Zoë/1.jpg", 0.8, True),)),
        Tracked(frame=frame, faces=(tracked, tracked)),
        InUse(sha256="ab" * 32, people=3, photos=9),
        beat,
        Status(pid=1, wall_ns=1 << 60, turn_ns=5, processes=(ProcessStatus("detect", "running", 2, beat, 0.1),)),
        Spans("detect", 4242, (Span("turn", 1 << 40, 1 << 41), Span("frame", 5, 6, "door", 70000))),
    )
    return {type(message): message for message in told}


def message_decoders() -> Iterator[Decoder]:
    """As the inboxes, the supervisor, `top` and `trace` do it."""
    ended = msgspec.msgpack.encode(Ended(sender="detect"))
    for kind, message in _messages().items():
        decoder: msgspec.msgpack.Decoder[Any] = msgspec.msgpack.Decoder(kind | Ended)
        yield Decoder(f"message {kind.__name__}", [msgspec.msgpack.encode(message), ended], decoder.decode, GARBLED)


def outside_decoders() -> Iterator[Decoder]:
    messages = _messages()
    tracked, in_use = messages[Tracked], messages[InUse]
    assert isinstance(tracked, Tracked)
    assert isinstance(in_use, InUse)
    event = event_of(tracked)
    bodies = [topic_of(event, epoch=1, seq=2), gallery_topic_of(in_use, epoch=1, seq=2, wall_ns=3)]
    topic = [msgspec.msgpack.encode(body) for body in bodies]
    yield Decoder("topic", topic, _subscribed, ())
    line = msgspec.json.encode(event)
    yield Decoder("event line: who is in it", [line], library.names_in_line, ())
    yield Decoder("event line: is it ours", [line], lambda data: retention.is_ours(data, "door"), ())
    event_decoder = msgspec.json.Decoder(type(event))
    yield Decoder("event line: evaluation", [line], event_decoder.decode, GARBLED)
    boxes = b'[{"frame": 0, "faces": [{"box": [4, 1, 9, 8], "name": "Ada"}, {"box": [6, 9, 7, 20], "name": null}]}]'
    shots = b'{"size": [1280, 720], "shots": [{"first": 0, "last": 103, "left": "Ada", "right": null}]}'
    yield Decoder("truth", [boxes, shots, line + b"\n" + line], ground_truth.parse, (ValueError, RecursionError))


def _subscribed(data: bytes) -> None:
    event = subscriber.event_in([b"detections.door", data], b"detections.door", "")
    if event is not None:
        subscriber.line(event)


def file_decoders() -> Iterator[Decoder]:
    toml = [path.read_bytes() for path in sorted(CONFIGS.glob("*.toml"))]
    yield Decoder("config", toml, lambda data: load.build(load.parse_toml(data, "c"), where="c"), (JetstreamError,))
    sets = [
        b"detect.min_face_px=60",
        b"cameras.0.fps=5",
        b'pipeline.without=["detect"]',
        b"detect.ignore=[{box=[1,2,3,4]}]",
    ]
    two = {"cameras": [{"name": "door", "source": "demo"}]}
    yield Decoder("--set", sets, lambda data: load.build(two, where="c", sets=[_text(data)]), (JetstreamError,))
    private = msgspec.json.encode(Config(cameras=(CameraConfig(name="door", source="demo"),)))
    config_decoder = msgspec.json.Decoder(Config)
    yield Decoder("run directory", [private], config_decoder.decode, GARBLED)
    pair = msgspec.json.encode(keys.KeyFile("door", "ab" * 32, "cd" * 32, "ef" * 32))
    yield Decoder("key file", [pair], lambda data: keys.parse(data, "k"), (JetstreamError,))
    line = audit.AuditLine("2026-01-01T00:00:00Z", "me", "enroll", "ab" * 8, "cd" * 8, 3)
    told = msgspec.json.encode(LogLine(1.0, "info", "detect", "x"))
    yield Decoder("log line", [told], msgspec.json.Decoder(LogLine).decode, GARBLED)
    yield Decoder("audit line", [msgspec.json.encode(line)], lambda data: list(audit.parse(data)), ())
    addresses = [
        b"rtsp://user:${P}@192.0.2.1:554/a?b=1&pwd=x",
        b"http://[::1]:80/a",
        b"0",
        b"gst: videotestsrc ! a=b",
        b"a/*.jpg",
    ]
    yield Decoder("source", addresses, _named, (JetstreamError,))
    alert = b'[[alerts]]\nname = "a"\nwhen = ["enter"]\nwebhook = "https://x/"\nhours = "22:00-06:00"\n'
    alert += b'body = {a = "{text}"}\nheaders = {X-Key = "${KEY}"}\n'
    yield Decoder("alert", [alert], lambda data: load.build(load.parse_toml(data, "c"), where="c"), (JetstreamError,))
    chunked = b"Retry-After: 17\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nno\r\n0\r\n\r\n"
    answers = [
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 429 Too Many\r\n" + chunked,
    ]
    yield Decoder("answer to a webhook", answers, _answered, (JetstreamError,))
    yield Decoder("zap", [b"1.0\01\0jetstream\0\0\0CURVE\0" + b"k" * 32], _asked, ())


def _answered(data: bytes) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(data[:100_000])
        theirs.shutdown(socket.SHUT_WR)
        post_over(ours, "https://x/", {}, b"{}", 5.0)


def _text(data: bytes) -> str:
    return data.decode(errors="surrogateescape")


def _named(data: bytes) -> None:
    spec = _text(data)
    load.camera_name(spec)
    address.shown(spec)
    holds_password(spec)
    masked(spec)
    list(secrets_in(spec))
    secrets.expanded(spec, "c", {"P": "secret"})
    address.kind_of(spec)


_DOORMAN = ZapAuthenticator.__new__(ZapAuthenticator)  # answers; serves nobody
_DOORMAN._is_allowed = lambda public: True


def _asked(data: bytes) -> None:
    frames = data.split(b"\0")
    answer = _DOORMAN.answer(frames)
    assert answer[2] == b"400" or (frames[2], frames[5], len(frames)) == (DOMAIN, b"CURVE", 7)


def gallery_decoders() -> Iterator[Decoder]:
    photo = store.PhotoRecord("Ada", "1.jpg", 1000, 5, "ab" * 32, 1, 0, None)
    manifest = store.Manifest(
        2, 1, "cd" * 32, {"Ada": 1}, (photo,), (), (), archive="gallery-1.npz", archive_sha256="e" * 64
    )
    text = msgspec.json.encode(manifest)
    yield Decoder("gallery manifest", [text], lambda data: store.parse_manifest(data, NOWHERE), (JetstreamError,))
    buffer = io.BytesIO()
    photos = np.random.default_rng(1).normal(size=(4, 128)).astype(np.float32)
    beside = {"negatives": photos[:0], "counter_examples": CounterLooks(photos[:2], ["Bob", "Ada"])}
    made = defaults.fit(photos, ["Ada", "Ada", "Bob", "Bob"], background=photos[:2] + 1, **beside)
    np.savez(buffer, embeddings=photos, **{k: v for k, v in made.to_arrays().items() if k != "embeddings"})
    yield Decoder("gallery archive", [buffer.getvalue()], _classifier, (JetstreamError,))
    arrays = store.parse_archive(NOWHERE, buffer.getvalue())
    rows = [name.encode() + b"\0" + _npy(array) for name, array in arrays.items()]
    yield Decoder("gallery arrays", rows, partial(_with_array, arrays), (JetstreamError, *store.DAMAGED))


def _npy(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def _with_array(arrays: dict[str, np.ndarray], data: bytes) -> None:
    """A classifier with one array damaged: no checksum stands before it, as in the archive."""
    name, _, content = data.partition(b"\0")
    array = np.load(io.BytesIO(content), allow_pickle=False)
    try:
        defaults.classifier_of({**arrays, _text(name): array})
    except store.DAMAGED as error:
        raise AssertionError("not refused in words") from error


def _classifier(data: bytes) -> None:
    defaults.classifier_of(store.parse_archive(NOWHERE, data))


def backup_decoders(folder: Path) -> Iterator[Decoder]:
    """Of a file that somebody restores."""
    manifest = BackupManifest(
        *(1, "2026-01-31T12:00:00Z", "1.0", 1),
        (
            BackupFile("faces/Ada/1.jpg", 3, "ab" * 32, 0o600, 5),
            BackupFile("sightings/sightings.db", 0, "cd" * 32, 0, 0),
        ),
        (BackupFolder("faces/Ada", 0o700),),
    )
    text = msgspec.json.encode(manifest)
    yield Decoder("backup: list of files", [text], lambda data: backup_manifest.parse(data, "b"), (JetstreamError,))
    made, path = folder / "made.tar", folder / "b.tar"
    items = [BackupItem(f"faces/Ada/{number}.jpg", made, 0, bytes(600 * number)) for number in range(3)]
    with made.open("w+b") as file:
        ArchiveWriter(file, BackupContent(items), None, lambda what, share: None).write("faces")

    def read(data: bytes) -> None:
        path.write_bytes(data)
        with archive.opened(path) as opened:
            content = {entry.path: b"".join(chunks) for entry, chunks in opened.files()}
        assert content == {item.path: item.content for item in items}

    yield Decoder("backup", [made.read_bytes()], read, (JetstreamError,))


def broker_decoders(folder: Path) -> Iterator[Decoder]:
    """What the sidecar `mqtt` keeps in files. What a broker sends: `test_broker`."""
    note, switched = folder / retained.FILE, folder / "switches.json"
    seed = (
        b'{"broker":"mqtt://h:1883","topics":["a/person/ada/area"],"components":{"h/config":{"person_ada":"sensor"}}}'
    )

    def noted(data: bytes) -> None:
        note.write_bytes(data)
        assert isinstance(retained.traces(folder, ["Ada"]), list)
        assert RetainedTopics(folder, "mqtt://h:1883").is_settled

    def read_switches(data: bytes) -> None:
        switched.write_bytes(data)
        switches.read(switched)

    yield Decoder("what a broker holds", [seed], noted, ())
    yield Decoder("switches", [b'{"door":{"record":false,"blur":true}}'], read_switches, ())


def recording_decoders(folder: Path) -> Iterator[Decoder]:
    """Of files that a full disk or a kill cut off."""
    boxes = [b"ftypisom", b"moov" + bytes(40), b"moof" + bytes(20), b"mdat" + bytes(60), b"moof" + bytes(20)]
    video = b"".join(struct.pack(">I", 4 + len(box)) + box for box in boxes)
    long = struct.pack(">I4sQ", 1, b"mdat", 16 + 50) + bytes(50)
    tracked = _messages()[Tracked]
    assert isinstance(tracked, Tracked)
    line = msgspec.json.encode(event_of(tracked))
    yield Decoder("video that was cut off", [video, video + long], _mended, ())
    path = folder / "file"

    def exceeds(data: bytes) -> None:
        path.write_bytes(data)
        ffmpeg.boxes_exceed(path)

    def crops(data: bytes) -> None:
        path.write_bytes(data)
        for container in ("mov,mp4", "matroska,webm"):
            crop_of(path, container, 1, 0)

    def cut(data: bytes) -> None:
        path.write_bytes(data)
        cut_to_last_line(path)
        assert path.read_bytes() == data[: data.rfind(b"\n") + 1]

    yield Decoder("video: is it whole", [video, video + long, video[:-7]], exceeds, ())
    yield Decoder("video: what to crop", [*cropped_videos()], crops, ())

    def told_last(data: bytes) -> None:
        events.write_bytes(data)
        last = last_event(folder, "door")
        assert last is None or last.camera == "door"

    events = folder / "door-20260102T030405.jsonl"
    lines = line + b"\n" + line + b"\n" + line[:40]
    yield Decoder("events that were cut off", [lines], cut, ())
    yield Decoder(
        "events: the last one", [lines, lines[:-40], b'{"camera":"door","frame_id":1,"captured_ns":2}\n'], told_last, ()
    )


def picture_decoders(folder: Path) -> Iterator[Decoder]:
    """Of files that people put into folders."""
    still, moving = ([content() for content in kinds.values()] for kinds in (STILL, MOVING))
    path = folder / "photo"

    def told(data: bytes) -> None:
        file_kinds.kind_in(io.BytesIO(data))
        file_kinds.is_cut_off(data)
        motion_jpeg.is_motion_jpeg(io.BytesIO(data))

    def read(data: bytes) -> None:
        path.write_bytes(data)
        assert images.read_image(path).ndim == 3

    yield Decoder("kind of a file", [*still, *moving, *NOT_READ.values()], told, ())
    yield Decoder("picture", still, read, (JetstreamError,))


def _mended(data: bytes) -> None:
    n_bytes = mp4_repair.whole_bytes(io.BytesIO(data))
    assert n_bytes <= len(data)
    assert mp4_repair.whole_bytes(io.BytesIO(data[:n_bytes])) == n_bytes


def folder_decoders(folder: Path) -> Iterator[Decoder]:
    """Of files that only a whole folder is asked for."""
    (folder / keys.ALLOWED).mkdir()
    public = folder / keys.ALLOWED / "friend.pub"
    public.touch(mode=0o600)

    def allow(data: bytes) -> None:
        public.write_bytes(data)
        assert all(key.hex().encode() == data[:64] for key in keys.allowed(folder).values())

    yield Decoder("public key", [b"ab" * 32 + b"\n"], allow, ())


@contextmanager
def ring_decoders(folder: Path) -> Iterator[list[Decoder]]:
    """The names of segments, the header of one that is attached, and the slots of a ring that is read."""
    with Ring.create("fuzz", slots=2, max_width=32, max_height=32, directory=folder) as ring:
        ring.write(np.zeros((32, 32, 3), np.uint8))
        ring.write(noise_nv12(17, 31, PictureFormat.NV12_709))
        whole = bytearray(ring._segment.memory)
        header = bytes(whole[: ring.layout.header_bytes])
        words = ring._segment.memory.cast("Q")

        def attach_all(data: bytes) -> None:
            (folder / RINGS).write_bytes(data)
            Rings.attach_all(RunDir(folder).read_rings(), directory=folder).close()

        def attach(data: bytes) -> None:
            layout.checked_layout(NOWHERE, memoryview(data))

        def read(data: bytes) -> None:
            used = data[: (layout.SLOTS + 2 * 8) * 8].ljust((layout.SLOTS + 2 * 8) * 8, b"\0")
            memory = ring._segment.memory
            memory[64 : len(used)] = used[64:]  # all but the constants, which were checked
            for frame_id in (0, 1, 2, words[layout.CURSOR]):
                image = ring.read(frame_id)
                assert image is None or image.size <= 32 * 32 * 3

        try:
            yield [
                *packet_decoders(folder),
                Decoder("ring names", [b'{"door":"fuzz"}', b"{}"], attach_all, (JetstreamError, *GARBLED)),
                Decoder("ring header", [bytes(whole), header], attach, (JetstreamError,)),
                Decoder("ring slots", [header], read, (JetstreamError,)),
            ]
        finally:
            words.release()


def packet_decoders(folder: Path) -> Iterator[Decoder]:
    """The header and the index of a packet ring, and what describes a stream in it."""
    with PacketRing.create("packets", data_bytes=SMALLEST_BYTES, directory=folder) as ring:
        ring.write(bytes(100))
        whole = bytes(ring._segment.memory)
    used = ring.layout.header_bytes

    def attach(data: bytes) -> None:
        packets.checked_layout(NOWHERE, memoryview(data))

    def read(data: bytes) -> None:
        with PacketRing.create("packets", data_bytes=SMALLEST_BYTES, directory=folder) as damaged:
            memory = damaged._segment.memory
            memory[64:used] = data[:used].ljust(used, b"\0")[64:]  # all but the constants, which were checked
            memory.release()
            for number in (0, 1, damaged.cursor - 1, damaged.newest_description or 0):
                damaged.read(number)

    stream = StreamDescription("h264", "h264", b"\1", 64, 48, live=True, shown="a", begun_ns=1, fps=25.0)
    yield Decoder("packet ring header", [whole], attach, (JetstreamError,))
    yield Decoder("packet ring index", [whole[:used]], read, (JetstreamError,))
    yield Decoder("stream description", [stream.encoded()], described, (JetstreamError,))


@contextmanager
def all_decoders(folder: Path) -> Iterator[list[Decoder]]:
    with ring_decoders(folder) as rings:
        alone = [*message_decoders(), *outside_decoders(), *file_decoders(), *gallery_decoders()]
        of_files = (*recording_decoders(folder), *picture_decoders(folder), *folder_decoders(folder))
        yield [*alone, *of_files, *broker_decoders(folder), *backup_decoders(folder), *rings]
