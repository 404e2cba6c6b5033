"""What systemd is told, and when frames count as making progress."""

import socket
from pathlib import Path

import pytest

from jetstream.config.schema import CameraConfig, Config, PipelineConfig
from jetstream.runtime.systemd import notify, patient
from jetstream.runtime.watchdog import STALLED_S, FrameProgress, Watchdog, stall_limit_s
from tests.support.waiting import PATIENCE_S


@pytest.fixture
def systemd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> socket.socket:
    """Its end of NOTIFY_SOCKET."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    listener.bind(str(tmp_path / "notify"))
    listener.settimeout(PATIENCE_S)
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
    return listener


def test_notify_sends_to_the_socket_that_systemd_names(systemd: socket.socket) -> None:
    notify("READY=1")

    assert systemd.recv(64) == b"READY=1"


def test_notify_reaches_a_socket_without_a_file() -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind("\0jetstream-test-notify")
        notify("READY=1", {"NOTIFY_SOCKET": "@jetstream-test-notify"})
        assert listener.recv(64) == b"READY=1"


def test_notify_without_systemd_or_with_its_socket_gone_is_silent(tmp_path: Path) -> None:
    notify("READY=1", {})
    notify("READY=1", {"NOTIFY_SOCKET": str(tmp_path / "gone")})


def test_startup_that_gets_on_asks_for_more_time(systemd: socket.socket) -> None:
    told: list[tuple[str, float]] = []
    patient(lambda what, share: told.append((what, share)))("engines", 0.5)

    assert told == [("engines", 0.5)]
    assert systemd.recv(99) == b"EXTEND_TIMEOUT_USEC=600000000\nSTATUS=engines: 50%"


def test_standstill_may_take_a_third_of_systemds_patience() -> None:
    assert stall_limit_s({"WATCHDOG_USEC": "30000000"}) == 10.0
    assert stall_limit_s({}) == stall_limit_s({"WATCHDOG_USEC": "nonsense"}) == STALLED_S


def stuck(progress: FrameProgress, captured: dict[str, int], tracked: dict[str, int], now_s: float) -> frozenset[str]:
    progress.see(captured, tracked, now_s)
    return progress.stuck(now_s)


def test_frames_that_come_out_are_progress() -> None:
    progress = FrameProgress(["door"])

    assert not any(stuck(progress, {"door": 10 * s}, {"door": 10 * s - 2}, float(s)) for s in range(1, 60))


def test_a_camera_that_gives_nothing_stalls_nothing() -> None:
    progress = FrameProgress(["door", "yard"])
    for second in range(1, 100):
        assert not stuck(progress, {"door": second, "yard": 5}, {"door": second, "yard": 4}, float(second))


def test_frames_that_are_captured_but_not_tracked_are_a_stall_and_it_ends_when_they_are_again() -> None:
    progress = FrameProgress(["door"])
    found = [stuck(progress, {"door": 5 + s}, {"door": 5}, float(s)) for s in range(20)]

    assert found[: int(STALLED_S)] == [frozenset()] * int(STALLED_S)
    assert found[-1] == {"door"}
    assert not stuck(progress, {"door": 30}, {"door": 6}, 21.0)


def test_one_cameras_stall_shows_though_the_others_flow() -> None:
    progress = FrameProgress(["door", "yard"])
    found = [stuck(progress, {"door": s, "yard": s}, {"door": 1, "yard": s}, float(s)) for s in range(1, 20)]

    assert found[-1] == {"door"}


def test_a_camera_that_returns_has_time_until_its_frames_come_through() -> None:
    progress = FrameProgress(["door"])
    stuck(progress, {"door": 5}, {"door": 4}, 1.0)  # its last frame fell on the way
    for second in range(2, 100):
        stuck(progress, {"door": 5}, {"door": 4}, float(second))

    assert not stuck(progress, {"door": 6}, {"door": 4}, 100.0)
    assert stuck(progress, {"door": 7}, {"door": 4}, 104.0) == frozenset()


def test_a_stage_that_is_being_started_has_more_time_but_not_forever() -> None:
    progress = FrameProgress(["door"])
    for second in range(40):
        progress.see({"door": 5 + second}, {"door": 5}, float(second))

    assert progress.stuck(39.0, grace_s=60.0) == frozenset()
    assert progress.stuck(39.0, grace_s=20.0) == {"door"}


def test_where_nothing_may_fall_a_source_that_waits_is_stuck_too() -> None:
    progress = FrameProgress(["film"], lossless=True)
    stuck(progress, {"film": 16}, {"film": 4}, 1.0)

    assert not stuck(progress, {"film": 16}, {"film": 4}, 5.0)
    assert stuck(progress, {"film": 16}, {"film": 4}, 12.0) == {"film"}


def test_watchdog_is_fed_beside_a_silent_camera_which_stands_in_the_status_and_the_log(
    systemd: socket.socket, caplog: pytest.LogCaptureFixture
) -> None:
    cameras = (CameraConfig(name="door", source="demo"), CameraConfig(name="yard", source="demo", read_timeout_s=3.0))
    watchdog = Watchdog(Config(cameras=cameras), limit_s=10.0)
    caplog.set_level("INFO")
    told = []
    for second in range(1, 8):
        watchdog.turn({"door": second, "yard": 9 if second == 7 else 1}, {"door": second, "yard": 1}, float(second))
        told.append(systemd.recv(200).decode())

    assert told[0] == "WATCHDOG=1\nSTATUS=2 of 2 cameras give frames"
    assert told[5] == "WATCHDOG=1\nSTATUS=1 of 2 cameras give frames; yard: none for 5 s"
    assert told[6] == told[0]
    assert caplog.messages == [
        "camera yard: no frame for 4 s; the others continue",
        "camera yard: frames again, after 5 s",
    ]


def test_watchdog_is_not_fed_while_frames_are_stuck_and_an_error_says_so_once(
    systemd: socket.socket, caplog: pytest.LogCaptureFixture
) -> None:
    watchdog = Watchdog(
        Config(cameras=(CameraConfig(name="door", source="demo"),), pipeline=PipelineConfig()), limit_s=2.0
    )
    told = []
    for second in range(1, 8):
        watchdog.turn({"door": second}, {"door": 1}, float(second))
        told.append(systemd.recv(200).decode())

    assert ["WATCHDOG=1" in line for line in told] == [True] * 3 + [False] * 4
    assert told[-1] == "STATUS=1 of 1 cameras give frames; stuck: door"
    assert caplog.messages == ["stuck: frames of door are captured, but none is tracked"]
