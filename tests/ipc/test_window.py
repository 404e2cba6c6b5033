"""How many frames of a camera may be on their way: as many as come out in the time that one may wait."""

import pytest

from jetstream.ipc.window import LOST_S, RATE_S, WAIT_S, FrameWindow

MOST = 4


def played(window: FrameWindow, fps: float, work_s: float, seconds: float) -> tuple[list[float], int]:
    """A camera of `fps`, whose frames are done one after another, each in `work_s`: how long each was under way, and
    how many were refused."""
    done_s: list[float] = []
    waits_s: list[float] = []
    written = refused = 0
    for step in range(int(seconds * fps)):
        now_s = step / fps
        if not window.has_room(sum(time_s <= now_s for time_s in done_s), now_s):
            refused += 1
            continue
        window.wrote(written, now_s)
        written += 1
        done_s.append(max(now_s, done_s[-1] if done_s else 0.0) + work_s)
        waits_s.append(done_s[-1] - now_s)
    return waits_s, refused


def test_camera_that_the_machine_carries_loses_nothing() -> None:
    _, refused = played(FrameWindow(MOST), fps=25, work_s=0.03, seconds=20)

    assert refused == 0


@pytest.mark.parametrize(("fps", "work_s"), [(25, 0.08), (25, 0.3), (30, 0.05), (60, 0.02), (5, 0.5)])
def test_overload_is_refused_and_what_is_taken_waits_a_bounded_time(fps: float, work_s: float) -> None:
    waits_s, refused = played(FrameWindow(MOST), fps, work_s, seconds=30)

    settled = waits_s[len(waits_s) // 4 :]
    assert refused > 0
    assert max(settled) <= WAIT_S + 2 * work_s
    assert len(waits_s) >= 0.7 * 30 / max(work_s, 1 / fps), "the machine stood still though there was work"


def test_stall_that_is_short_costs_nothing() -> None:
    window = FrameWindow(MOST)
    for number in range(50):
        assert window.has_room(number, number / 25)
        window.wrote(number, number / 25)

    taken = 0
    while window.has_room(50, 2 + taken / 25):
        window.wrote(50 + taken, 2 + taken / 25)
        taken += 1

    assert taken == MOST, "some 0.15 s"


def test_frames_that_a_process_took_to_its_grave_are_not_waited_for() -> None:
    window = FrameWindow(MOST)
    for number in range(MOST):
        window.wrote(number, 0.0)

    assert not window.has_room(0, LOST_S / 2)
    assert window.has_room(0, LOST_S + 0.1)


def test_nobody_who_tells_leaves_the_window_open() -> None:
    window = FrameWindow(1)
    for number in range(20):
        assert window.has_room(None, number * RATE_S)
        window.wrote(number, number * RATE_S)
