"""Packets in shared memory: what is read is what was written, or nothing."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from jetstream.errors import RingError
from jetstream.video.gop.reader import GopReader
from jetstream.video.gop.ring import (
    BEGUN,
    CURSOR,
    DESCRIPTION,
    KEY,
    NO_TIME,
    GopPacket,
    PacketRing,
)
from tests.support.repository import REPOSITORY
from tests.support.waiting import wait_until

NAME = "packets"
FEW = 1 << 16


@pytest.fixture
def ring(tmp_path: Path) -> Iterator[PacketRing]:
    with PacketRing.create(NAME, data_bytes=FEW, directory=tmp_path) as ring:
        yield ring


def test_packet_is_read_as_it_was_written(ring: PacketRing) -> None:
    ring.write(b"what", flags=DESCRIPTION)
    ring.write(b"key", flags=KEY, pts_ns=40, dts_ns=-40, arrived_ns=7)

    assert ring.read(0) == GopPacket(0, DESCRIPTION, NO_TIME, NO_TIME, 0, b"what")
    assert ring.read(1) == GopPacket(1, KEY, 40, -40, 7, b"key")
    assert ring.read(2) is None, "not written yet"
    assert (ring.cursor, ring.newest_description, ring.newest_ns) == (2, 0, 40)


def test_packets_go_round_and_never_wrap(ring: PacketRing) -> None:
    size = FEW // 3 + 100
    for number in range(7):
        ring.write(bytes([number]) * size)
        packet = ring.read(number)
        assert packet is not None
        assert packet.data == bytes([number]) * size
    assert [ring.read(number) is not None for number in range(7)] == [False] * 5 + [True] * 2


def test_index_that_goes_round_laps_readers_too(ring: PacketRing) -> None:
    entries = ring.layout.entries
    for _ in range(entries + 3):
        ring.write(b"x")
    assert [ring.read(number) is not None for number in (2, 3)] == [False, True]


def test_lapped_reader_starts_again_at_the_newest_description(ring: PacketRing) -> None:
    reader = GopReader(ring)
    assert reader.read() is None
    for _ in range(3):
        ring.write(b"what", flags=DESCRIPTION)
        for _ in range(4):
            ring.write(bytes(9000))
    first = reader.read()
    assert first is not None
    assert first.number == 10, "the newest group of pictures"
    assert reader.waiting == 4

    for _ in range(2):
        ring.write(b"what", flags=DESCRIPTION)
        for _ in range(4):
            ring.write(bytes(9000))
    again = reader.read()
    assert again is not None
    assert (again.number, again.flags, reader.missed, reader.jumps) == (20, DESCRIPTION, 9, 1)


def test_packet_that_is_too_large_is_refused(ring: PacketRing) -> None:
    assert ring.write(bytes(ring.largest_bytes)) == 0
    with pytest.raises(ValueError, match="the ring takes at most 32768"):
        ring.write(bytes(ring.largest_bytes + 1))


def test_decoder_tells_what_became_a_picture(ring: PacketRing, tmp_path: Path) -> None:
    with PacketRing.attach(NAME, directory=tmp_path) as decoder:
        decoder.tell(4, pictured=True)
        decoder.tell(9, pictured=False)
    assert ring.unpictured == (10, 5)


def test_ring_of_another_kind_or_version_is_refused(ring: PacketRing, tmp_path: Path) -> None:
    for word, value in ((0, 1), (1, 99), (2, FEW // 2), (4, 1)):
        path = tmp_path / "other"
        content = bytearray((tmp_path / NAME).read_bytes())
        content[word * 8 : word * 8 + 8] = value.to_bytes(8, "little")
        path.write_bytes(content)
        with pytest.raises(RingError, match="not a packet ring of this version"):
            PacketRing.attach("other", directory=tmp_path)


def test_writer_killed_in_mid_packet_is_followed_by_the_same_number_elsewhere(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from jetstream.video.gop.ring import PacketRing\n"
        f"ring = PacketRing.attach({NAME!r}, directory=Path(sys.argv[1]))\n"
        "data = bytes([1]) * (30 << 20)\n"
        "while True: ring.write(data)"
    )
    with PacketRing.create(NAME, data_bytes=64 << 20, directory=tmp_path) as ring:
        with _running(code, tmp_path) as writer, PacketRing.attach(NAME, directory=tmp_path) as second:
            wait_until(lambda: ring.cursor >= 3)
            wait_until(lambda: _stopped_in_mid_packet(writer, ring))
            with pytest.raises(RingError, match="another process writes"):
                second.write(b"")
        cursor = ring.cursor
        assert ring.read(cursor) is None
        assert ring.read(cursor - 2) is None, "half overwritten"
        newest = ring.read(cursor - 1)
        assert newest is not None
        assert set(newest.data) == {1}
        assert ring.write(b"next") == cursor
        following = ring.read(cursor)
        assert following is not None
        assert following.data == b"next"
        assert ring.read(cursor - 2) is None


def _running(code: str, folder: Path) -> "subprocess.Popen[bytes]":
    class Killed(subprocess.Popen):  # type: ignore[type-arg]
        def __exit__(self, *error: object) -> None:
            self.kill()
            super().__exit__(*error)  # type: ignore[arg-type]

    return Killed([sys.executable, "-c", code, str(folder)])


def _stopped_in_mid_packet(writer: "subprocess.Popen[bytes]", ring: PacketRing) -> bool:
    """Stop the writer; if it happens to stand between two packets, let it go on."""
    writer.send_signal(signal.SIGSTOP)
    os.waitpid(writer.pid, os.WUNTRACED)
    if ring._words[BEGUN] > ring._words[CURSOR]:
        return True
    writer.send_signal(signal.SIGCONT)
    return False


def test_no_torn_packet_gets_past_four_readers() -> None:
    seconds = os.environ.get("JETSTREAM_TORTURE_S", "2")
    torture = REPOSITORY / "tests" / "support" / "packet_torture.py"
    done = subprocess.run(
        [sys.executable, torture, "--seconds", seconds, "--kills", "1"], stdout=subprocess.PIPE, text=True
    )
    counts = json.loads(done.stdout)
    assert counts["torn"] == 0
    assert min(counts["whole"], counts["lapped"]) > 0  # it was tried
