"""A running pipeline, looked at from outside: metrics, health, hop times and traces, by real clients."""

import contextlib
import itertools
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from jetstream.messages import Status
from jetstream.monitoring.status import statuses
from tests.support.clips import demo_clip
from tests.support.event_lines import lines_of
from tests.support.inside import Inside
from tests.support.repository import DEMO
from tests.support.statuses import frames_flow, pids_in
from tests.support.waiting import PATIENCE_S, wait_until

pytestmark = pytest.mark.pipeline

FRESH_S = 2.0


@pytest.fixture(scope="module")
def jetstream(tmp_path_factory: pytest.TempPathFactory, models_dir: Path) -> Inside:
    return Inside(tmp_path_factory.mktemp("watched"), models_dir)


@pytest.fixture(scope="module")
def ready_answers() -> list[tuple[int, str]]:
    """What /readyz answers while the pipeline starts."""
    return []


@pytest.fixture(scope="module")
def running(jetstream: Inside, ready_answers: list[tuple[int, str]]) -> Iterator["subprocess.Popen[str]"]:
    """The demo, recorded; a process that stands still is left alone for long."""
    patient = ("--set", "pipeline.heartbeat_timeout_s=60", "--set", f"metrics.fresh_s={FRESH_S}")
    asking = threading.Thread(target=ask_until_ready, args=(jetstream, ready_answers))
    asking.start()
    with jetstream.running(DEMO, "--headless", "--record", "rec", *patient) as process:
        jetstream.wait(frames_flow, process)
        asking.join()
        yield process


def ask_until_ready(jetstream: Inside, answers: list[tuple[int, str]]) -> None:
    deadline_s = time.monotonic() + PATIENCE_S
    while (not answers or answers[-1][0] != 200) and time.monotonic() < deadline_s:
        with contextlib.suppress(OSError):
            answers.append(ask(jetstream, "/readyz"))
        time.sleep(0.02)


def ask(jetstream: Inside, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(jetstream.metrics + path, timeout=PATIENCE_S) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def page(jetstream: Inside) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """Each sample of /metrics by its name and labels."""
    families = text_string_to_metric_families(ask(jetstream, "/metrics")[1])
    return {(s.name, frozenset(s.labels.items())): s.value for family in families for s in family.samples}


def until(jetstream: Inside, path: str, code: int, timeout_s: float = PATIENCE_S) -> str:
    """What the page says once it answers with `code`."""
    deadline_s = time.monotonic() + timeout_s
    while time.monotonic() < deadline_s:
        found, text = ask(jetstream, path)
        if found == code:
            return text
        time.sleep(0.1)
    raise AssertionError(f"{path}: {found} {text}{jetstream.log()}")


def now(jetstream: Inside) -> Status:
    return next(statuses(jetstream.run_dir))


def pid_of(jetstream: Inside, name: str) -> int:
    return pids_in(now(jetstream))[name]


def test_pipeline_is_not_ready_until_frames_come(
    running: "subprocess.Popen[str]", ready_answers: list[tuple[int, str]]
) -> None:
    codes = [code for code, _ in ready_answers]

    assert codes == [503] * (len(codes) - 1) + [200]
    reasons = ("camera demo: no frame yet", "the supervisor has not reported yet")  # either moment may be too short
    assert all(any(reason in text for reason in reasons) for code, text in ready_answers if code == 503)


def test_counters_rise_and_histograms_add_up(jetstream: Inside, running: "subprocess.Popen[str]") -> None:
    tracked = ("jetstream_frames_total", labels(camera="demo", process="track"))
    before = page(jetstream)
    confirmed = ("jetstream_tracks", labels(camera="demo", state="confirmed"))
    pages = []

    def is_all_there() -> bool:
        """Frames came, the recording's first fragment is written, and both people are in the picture."""
        pages.append(after := page(jetstream))
        is_written = after["jetstream_recordings_bytes", frozenset()] > 0
        return after[tracked] > before.get(tracked, 0.0) and is_written and after[confirmed] == 2

    wait_until(is_all_there)
    after = pages[-1]

    frames = {
        dict(labels)["process"]: value for (name, labels), value in after.items() if name == "jetstream_frames_total"
    }
    assert set(frames) == {"capture.demo", "detect", "track", "recognize", "record", "publish", "sightings"}
    for key, value in before.items():
        if key[0].endswith(("_total", "_bucket", "_count")):
            assert after[key] >= value, key
    for process in ("detect", "track", "recognize", "record", "publish"):
        for name in ("jetstream_latency_seconds", "jetstream_work_seconds"):
            everything = after[f"{name}_bucket", labels(process=process, le="+Inf")]
            assert everything == after[f"{name}_count", labels(process=process)] == frames[process]
    assert after["jetstream_faces_total", labels(camera="demo")] > 0
    assert after["jetstream_gallery_people", frozenset()] == 1


def labels(**named: str) -> frozenset[tuple[str, str]]:
    return frozenset(named.items())


def test_no_name_of_a_person_and_no_path_is_on_the_page(jetstream: Inside, running: "subprocess.Popen[str]") -> None:
    text = ask(jetstream, "/metrics")[1]

    assert "Eileen" not in text
    assert str(jetstream.folder) not in text


def test_camera_that_falls_silent_is_not_ready_until_it_is_back(
    jetstream: Inside, running: "subprocess.Popen[str]"
) -> None:
    assert until(jetstream, "/readyz", 200).startswith("ok\n")
    camera = pid_of(jetstream, "capture.demo")
    os.kill(camera, signal.SIGSTOP)
    try:
        said = until(jetstream, "/readyz", 503)
        healthy, _ = ask(jetstream, "/healthz")
    finally:
        os.kill(camera, signal.SIGCONT)

    assert re.match(r"camera demo: its newest frame is ([2-9]|\d{2,})\.\d s old\n", said), said
    assert healthy == 200, "a camera's trouble is not the supervisor's"
    until(jetstream, "/readyz", 200)


def test_supervisor_that_hangs_is_not_called_healthy(jetstream: Inside, running: "subprocess.Popen[str]") -> None:
    until(jetstream, "/healthz", 200)
    watcher = watching(jetstream)
    assert watcher.stdout is not None
    assert watcher.stdout.readline() == f"jetstream {running.pid}\n"
    running.send_signal(signal.SIGSTOP)
    try:
        said = until(jetstream, "/healthz", 503)
        titles = (line for line in watcher.stdout if line.startswith("jetstream "))
        shown = next(line for line in titles if line != f"jetstream {running.pid}\n")
    finally:
        running.send_signal(signal.SIGCONT)
        watcher.kill()
        watcher.wait()

    assert re.match(r"jetstream \d+: silent for ([5-9]|\d{2,}) s$", shown)
    assert re.match(r"the supervisor's loop last turned ([5-9]|\d{2,})\.\d s ago\n", said), said
    until(jetstream, "/healthz", 200)


def test_killed_processes_lose_no_count(jetstream: Inside, running: "subprocess.Popen[str]") -> None:
    before = page(jetstream)
    for name in ("track", "metrics"):
        os.kill(pid_of(jetstream, name), signal.SIGKILL)
    jetstream.wait(
        lambda s: all(
            p.restarts == 1 and p.state == "running" for p in s.processes if p.process in ("track", "metrics")
        ),
        running,
    )
    until_there(jetstream)
    after = page(jetstream)

    for name in ("track", "metrics"):
        assert after["jetstream_process_restarts_total", labels(process=name)] == 1
    for key, value in before.items():
        if key[0].endswith(("_total", "_bucket", "_count")) and key[0] != "jetstream_process_cpu_seconds_total":
            assert after[key] >= value, key
    until(jetstream, "/readyz", 200)


def until_there(jetstream: Inside) -> None:
    def is_there() -> bool:
        with contextlib.suppress(OSError):
            return ask(jetstream, "/healthz")[0] == 200
        return False

    wait_until(is_there, why=jetstream.log)


def test_trace_has_a_track_for_each_process_and_lies_within_its_time(
    jetstream: Inside, running: "subprocess.Popen[str]"
) -> None:
    result = jetstream("trace", "4", "-o", "t.json", "--set", f"pipeline.run_dir={jetstream.run_dir}")

    assert result.returncode == 0, result.stderr
    path = jetstream.folder / "t.json"
    assert path.stat().st_mode & 0o077 == 0
    events = json.loads(path.read_text())["traceEvents"]
    names = {event["pid"]: event["args"]["name"] for event in events if event["name"] == "process_name"}
    assert set(names.values()) == {p.process for p in now(jetstream).processes}
    busy = {names[event["pid"]] for event in events if event["ph"] == "X"}
    assert busy >= {"capture.demo", "detect", "track", "record", "publish"}
    for event in events:
        if event["ph"] != "M":
            assert 0 <= event["ts"] <= event["ts"] + event.get("dur", 0) <= 4e6
    frames = [event["ts"] for event in events if event["ph"] == "b" and names[event["pid"]] == "detect"]
    assert frames[0] < 1.5e6, "from the begin"
    assert frames[-1] > 2.5e6, "to the end"
    assert one_after_the_other([e for e in events if e["ph"] == "X" and names[e["pid"]] == "detect"])
    assert not (jetstream.run_dir / "spans.trace").exists()


def one_after_the_other(events: list[dict]) -> bool:
    events.sort(key=lambda event: event["ts"])
    return all(a["ts"] + a["dur"] <= b["ts"] + 0.001 for a, b in itertools.pairwise(events))


def test_top_in_a_pipe_is_plain_text_a_table_a_second(jetstream: Inside, running: "subprocess.Popen[str]") -> None:
    watcher = watching(jetstream)
    assert watcher.stdout is not None
    lines: list[str] = []
    while sum(line.startswith("jetstream ") for line in lines) < 3:
        lines.append(watcher.stdout.readline())
    watcher.kill()
    watcher.wait()

    assert all(line.isascii() and "\x1b" not in line for line in lines)
    assert any(re.match(r"track +running +\d+\.\d +\d+ ", line) for line in lines), lines
    assert any(re.match(r"demo +\d+\.\d +\d+ +\d+ +\d+ +\d+$", line) for line in lines), lines
    assert any(re.match(r"searched whole: 1 picture in \d+$", line) for line in lines), lines


def watching(jetstream: Inside) -> "subprocess.Popen[str]":
    """`jetstream top` with its output in a pipe."""
    command = [*command_of("top"), "--set", f"pipeline.run_dir={jetstream.run_dir}"]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=jetstream.environment)


def command_of(word: str) -> list[str]:
    return [sys.executable, "-m", "jetstream.cli", word]


def test_hop_times_of_events_never_go_backwards(jetstream: Inside, running: "subprocess.Popen[str]") -> None:
    events = [event for path in sorted((jetstream.folder / "rec").glob("*.jsonl")) for event in lines_of(path)]
    subscriber = subprocess.Popen(
        [*command_of("subscribe"), jetstream.endpoint, "--json"],
        stdout=subprocess.PIPE,
        text=True,
        env=jetstream.environment,
    )
    assert subscriber.stdout is not None
    published = [json.loads(subscriber.stdout.readline()) for _ in range(10)]
    subscriber.kill()
    subscriber.wait()

    assert len(events) > 20
    assert {tuple(event["hops_ms"]) for event in events} == {("detected", "tracked", "recorded")}
    assert {tuple(event["hops_ms"]) for event in published} == {("detected", "tracked", "published")}
    for event in events + published:
        times = [0.0, *event["hops_ms"].values()]
        assert times == sorted(times)
        assert times[-1] < 60_000


def test_hops_are_of_frames_between_processes_so_a_replay_has_none(jetstream: Inside) -> None:
    clip = demo_clip(jetstream.folder / "clip.mp4", frames=3)
    words = ("--faces", "demo", "--set", f"models.dir={jetstream.models}")
    result = jetstream("replay", str(clip), "--out", "replay.jsonl", *words)

    assert result.returncode == 0, result.stderr
    assert [event["hops_ms"] for event in lines_of(jetstream.folder / "replay.jsonl")] == [None] * 3


def test_switched_off_there_is_no_process_and_no_port(tmp_path: Path, models_dir: Path) -> None:
    jetstream = Inside(tmp_path, models_dir)
    with jetstream.running(DEMO, "--headless", "--set", "metrics.enabled=false"):
        assert "metrics" not in {p.process for p in now(jetstream).processes}
        with pytest.raises(OSError, match="refused"):
            ask(jetstream, "/metrics")


def test_port_in_use_is_one_sentence_before_anything_starts(tmp_path: Path, models_dir: Path) -> None:
    jetstream = Inside(tmp_path, models_dir)
    with socket.socket() as squatter:
        squatter.bind(("127.0.0.1", jetstream.metrics_port))
        squatter.listen()
        result = jetstream("run", DEMO, "--headless", "--duration", "1", sets=True)

    assert result.returncode == 2
    assert result.stderr.strip().splitlines()[-1] == (
        f"jetstream: metrics.endpoint: {jetstream.metrics}: Address already in use; choose another, stop the "
        "program that uses it, or set metrics.enabled = false"
    )


def test_trace_without_a_pipeline_or_a_place_to_write_is_one_sentence(tmp_path: Path, models_dir: Path) -> None:
    jetstream = Inside(tmp_path, models_dir)
    run_dir = ("--set", f"pipeline.run_dir={jetstream.run_dir}")

    too_long = f"{'x' * 300}/t.json"  # as a folder that may not be entered: Path.is_dir() raises
    nowhere = jetstream("trace", "1", "-o", too_long, *run_dir)
    nobody = jetstream("trace", "1", "-o", "t.json", *run_dir)

    assert nowhere.returncode == 2
    assert f"--out {too_long}: name a file in a folder that exists" in nowhere.stderr
    assert nobody.returncode == 1
    assert "no jetstream runs here" in nobody.stderr
