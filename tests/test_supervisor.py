"""What the supervisor tells systemd, and when frames count as making progress."""

import socket
from pathlib import Path

from jetstream.supervisor import STALLED_S, Progress, notify


def test_notify_sends_to_the_socket_that_systemd_names(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(tmp_path / "notify"))
        notify("READY=1", {"NOTIFY_SOCKET": str(tmp_path / "notify")})
        assert listener.recv(64) == b"READY=1"


def test_notify_without_systemd_or_with_its_socket_gone_is_silent(tmp_path: Path) -> None:
    notify("READY=1", {})
    notify("READY=1", {"NOTIFY_SOCKET": str(tmp_path / "gone")})


def test_frames_that_come_out_are_progress() -> None:
    progress = Progress()

    assert all(progress.is_made(frame, frame - 1, float(frame)) for frame in range(1, 60))


def test_cameras_that_give_nothing_stall_nothing() -> None:
    progress = Progress()
    progress.is_made(5, 5, 0.0)

    assert progress.is_made(5, 5, 1000.0)


def test_frames_that_are_captured_but_not_tracked_are_a_stall() -> None:
    progress = Progress()
    made = [progress.is_made(5 + second, 5, float(second)) for second in range(20)]

    assert made[: int(STALLED_S)] == [True] * int(STALLED_S)
    assert not made[-1]
    assert progress.is_made(30, 6, 21.0), "and over when they are tracked again"
