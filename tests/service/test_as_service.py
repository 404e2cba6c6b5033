"""A run as systemd has it: what it is told over its socket, and what SIGHUP does. Real processes, no systemd."""

import json
import re
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.support.command import Command
from tests.support.repository import DEMO
from tests.support.statuses import frames_flow, frames_in, pids_in
from tests.support.waiting import PATIENCE_S

pytestmark = pytest.mark.pipeline

CONFIG = """
[pipeline]
log_format = "json"
[recognize]
faces = "demo"
[record]
dir = "rec"
[metrics]
enabled = false
[[cameras]]
name = "demo"
source = "demo"
[[cameras]]
name = "dead"
source = "rtsp://user:hunter2@127.0.0.1:9/stream"
open_timeout_s = 1.0
read_timeout_s = 1.0
"""


@dataclass(frozen=True)
class Service(Command):
    """`jetstream` as systemd starts it, with all that it says."""

    said: list[tuple[float, dict[str, str]]] = field(default_factory=list)  # when, and the fields of one datagram
    watchdog_s: float = 30.0

    @property
    def environment(self) -> dict[str, str]:
        systemd = {"NOTIFY_SOCKET": f"{self.folder}/notify", "WATCHDOG_USEC": str(int(self.watchdog_s * 1e6))}
        return {**super().environment, **systemd}

    def hear(self, until: Callable[[dict[str, str]], object], since: int = 0, timeout_s: float = PATIENCE_S) -> int:
        """The place in `said` of the first datagram from `since` for which `until` holds."""
        deadline_s = time.monotonic() + timeout_s
        while time.monotonic() < deadline_s:
            for index, (_, fields) in enumerate(self.said[since:], start=since):
                if until(fields):
                    return index
            time.sleep(0.02)
        raise AssertionError(f"{self.said[since:]}\n{self.log()}")

    def fed(self, from_s: float, to_s: float) -> int:
        return sum("WATCHDOG" in fields for at_s, fields in self.said if from_s < at_s < to_s)


@pytest.fixture
def service(tmp_path: Path, models_dir: Path) -> Iterator[Service]:
    service = Service(tmp_path, models_dir)
    yield from _listening(service)


@pytest.fixture
def impatient(tmp_path: Path, models_dir: Path) -> Iterator[Service]:
    """Frames may stand still for a second."""
    yield from _listening(Service(tmp_path, models_dir, watchdog_s=3.0))


def _listening(service: Service) -> Iterator[Service]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(service.folder / "notify"))

        def listen() -> None:
            while payload := listener.recv(4096):
                fields = dict(line.split("=", 1) for line in payload.decode().splitlines())
                service.said.append((time.monotonic(), fields))

        thread = threading.Thread(target=listen, daemon=True)
        thread.start()
        yield service
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as end:
            end.sendto(b"", str(service.folder / "notify"))
        thread.join(PATIENCE_S)


def lines(service: Service) -> list[dict]:
    return [json.loads(line) for line in service.log().splitlines()]


def test_a_service_is_ready_fed_beside_a_dead_camera_reloads_and_stops(service: Service, tmp_path: Path) -> None:
    config = tmp_path / "jetstream.toml"
    config.write_text(CONFIG)
    with service.running(str(config), "--headless") as process:
        ready = service.hear(lambda fields: "READY" in fields)
        service.hear(lambda fields: "WATCHDOG" in fields and "dead: none for" in fields["STATUS"])
        pids = pids_in(service.wait(lambda s: True, process))

        changed = CONFIG.replace("[record]", 'budget_per_s = 5\n[detect]\nmin_face_px = 50\n[record]\nvideo = "none"')
        config.write_text(changed.replace('name = "dead"', 'name = "dead"\nfps = 5'))
        process.send_signal(signal.SIGHUP)
        reloading = service.hear(lambda fields: "RELOADING" in fields, since=ready)
        again = service.hear(lambda fields: "READY" in fields, since=reloading)
        moved = service.wait(lambda s: all(p.state == "running" for p in s.processes), process)
        now = pids_in(moved)
        frames = frames_in(moved)
        service.wait(lambda s: all(p.beat.frames > frames[p.process] for p in s.processes if busy(p.process)), process)

        config.write_text(changed.replace("min_face_px = 50", "min_face_px = -1"))
        process.send_signal(signal.SIGHUP)
        refused = service.hear(lambda fields: "RELOADING" in fields, since=again)
        service.hear(lambda fields: "READY" in fields, since=refused)
        service.hear(lambda fields: "config rejected, the one in use stays" in fields.get("STATUS", ""), since=refused)
        after = service.wait(lambda s: True, process)
        assert pids_in(after) == now

    service.hear(lambda fields: "STOPPING" in fields, since=refused)
    assert process.returncode == 0
    assert now.keys() == pids.keys()
    assert {name for name in pids if pids[name] != now[name]} == {"detect", "track", "record"}
    assert not any(p.restarts for p in moved.processes), "a reload is no failure"
    usec = int(service.said[reloading][1]["MONOTONIC_USEC"])
    assert 0 <= time.monotonic() - usec * 1e-6 < 600
    told = [line["message"] for line in lines(service)]
    assert (
        "config reloaded: took detect.min_face_px, recognize.budget_per_s, record.video (detect, record, track "
        "started again); restart to change cameras"
    ) in told
    assert any(re.search(r"detect\.min_face_px: expected a number >= 12.*, got -1; the config in use", t) for t in told)


def busy(process: str) -> bool:
    return process in ("capture.demo", "detect", "track", "record", "publish")


def test_lines_of_a_service_are_json_and_hold_no_password(service: Service, tmp_path: Path) -> None:
    config = tmp_path / "jetstream.toml"
    config.write_text(CONFIG)
    with service.running(str(config), "--headless", "--set", "pipeline.log_level=debug"):
        service.hear(lambda fields: "dead: none for" in fields.get("STATUS", ""))

    told = lines(service)
    assert {line["process"] for line in told} >= {"run", "capture.dead", "record"}
    assert all(line.keys() >= {"time", "level", "process", "pid", "message"} for line in told)
    assert {line.get("camera") for line in told if line["process"] == "capture.dead"} == {"dead"}
    assert any("127.0.0.1:9" in line["message"] for line in told)
    assert "hunter2" not in service.log()
    assert not any("hunter2" in str(fields) for _, fields in service.said)


def test_last_words_are_json_too(service: Service, tmp_path: Path) -> None:
    config = tmp_path / "jetstream.toml"
    config.write_text(CONFIG.replace('name = "demo"\nsource = "demo"', 'name = "film"\nsource = "gone.mp4"'))
    result = service("run", str(config), "--headless", sets=True)

    assert result.returncode == 2
    assert "gone.mp4" in json.loads(result.stderr.splitlines()[-1])["message"]


def test_watchdog_stops_while_a_stage_is_stuck_and_goes_on_when_it_moves(impatient: Service) -> None:
    with impatient.running(DEMO, "--headless", "--set", "pipeline.heartbeat_timeout_s=60") as process:
        status = impatient.wait(frames_flow, process)
        pid = pids_in(status)["track"]
        subprocess.run(["kill", "-STOP", str(pid)], check=True)
        stuck = impatient.hear(lambda fields: "stuck: demo" in fields.get("STATUS", ""), since=len(impatient.said))
        time.sleep(2.5)
        now_s, stuck_s = time.monotonic(), impatient.said[stuck][0]
        subprocess.run(["kill", "-CONT", str(pid)], check=True)
        assert impatient.fed(stuck_s, now_s) == 0
        impatient.hear(lambda fields: "WATCHDOG" in fields, since=len(impatient.said))

    assert "stuck: frames of demo are captured, but none is tracked" in impatient.log()


def test_watchdog_stops_with_the_supervisor(impatient: Service) -> None:
    with impatient.running(DEMO, "--headless") as process:
        impatient.hear(lambda fields: "WATCHDOG" in fields)
        process.send_signal(signal.SIGSTOP)
        time.sleep(0.5)
        from_s = time.monotonic()
        time.sleep(2.5)
        fed = impatient.fed(from_s, time.monotonic())
        process.send_signal(signal.SIGCONT)
        impatient.hear(lambda fields: "WATCHDOG" in fields, since=len(impatient.said))

    assert fed == 0
