"""The public form of frames: times and the topic's map."""

import random
from datetime import datetime, timezone

import msgspec
import pytest

from jetstream.events import event_of, iso_time, topic_of
from jetstream.messages import FrameRef, Tracked

DAY_NS = 86_400_000_000_000


@pytest.mark.parametrize("second", [0, 1, 951_782_399, 1_764_476_599, 4_102_444_799])
@pytest.mark.parametrize("ns", [0, 1, 499, 500, 999, 999_499, 123_456_789, 998_999_999, 999_999_499, 999_999_999])
def test_iso_time_is_datetimes(second: int, ns: int) -> None:
    assert iso_time(second * 10**9 + ns) == _by_datetime(second * 10**9 + ns)


def test_iso_time_is_datetimes_at_any_time() -> None:
    draws = random.Random(1)
    for wall_ns in (draws.randrange(40_000 * DAY_NS) for _ in range(20_000)):
        assert iso_time(wall_ns) == _by_datetime(wall_ns)


def test_map_of_the_topic_is_the_event_after_its_number() -> None:
    frame = FrameRef("door", 7, 5, 1_764_476_599_000_000_000, 0.28, live=True)
    event = event_of(Tracked(frame=frame, faces=()))

    sent = msgspec.msgpack.decode(msgspec.msgpack.encode(topic_of(event, epoch=3, seq=4)))

    line = msgspec.msgpack.decode(msgspec.msgpack.encode(event))
    assert list(sent.items()) == [("epoch", 3), ("seq", 4), *line.items()]


def _by_datetime(wall_ns: int) -> str:
    at = datetime.fromtimestamp(wall_ns * 1e-9, timezone.utc)
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
