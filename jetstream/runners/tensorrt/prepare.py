"""Builds and tests engines ahead of time; where there is no engine, one clause says why.

Knows the cache (`engine_cache`) and the child process that builds (`build_process`), which has a time limit; imports no
TensorRT.
"""

import contextlib
import os
import select
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO, NamedTuple

import msgspec

from jetstream.errors import GARBLED
from jetstream.runners.base import UnavailableError
from jetstream.runners.cuda_bindings import WantedBindings
from jetstream.runners.tensorrt import engine_cache
from jetstream.runners.tensorrt.build_protocol import BindingsProbe, BuildEvent, BuildJob
from jetstream.runners.tensorrt.engine_cache import EngineRecipe

COMMAND = (sys.executable, "-m", "jetstream.runners.tensorrt.build_process")
POLL_S = 0.5
Progress = Callable[[str, float], None]
HALF_BUILT_S = 40.0  # after this time the progress bar of a build is half full: its duration is not known before


class BuildLimits(NamedTuple):
    """How long the child may be silent. Measured: builds 18 to 113 s on an H100; a Jetson takes several times that."""

    build_s: float = 1800.0
    test_s: float = 120.0  # the first also loads CUDA, TensorRT and a reference
    probe_s: float = 60.0


class PreparedEngine(NamedTuple):
    """One engine: its file, or the reason why there is none."""

    recipe: EngineRecipe
    path: Path | None
    seconds: float = 0.0  # that building took; 0: it was built already
    error: float = 0.0  # largest difference from ONNX Runtime in its test, as a share of the largest value
    reason: str = ""
    notes: tuple[str, ...] = ()  # what was set aside on the way


PATIENT = BuildLimits()


def probe(limits: BuildLimits = PATIENT, command: Sequence[str] = COMMAND) -> BindingsProbe:
    """Which TensorRT and which bindings of CUDA can be imported, tried in a child process because it may crash."""
    try:
        done = subprocess.run([*command, "probe"], capture_output=True, timeout=limits.probe_s, check=False)
        return msgspec.json.decode(done.stdout, type=BindingsProbe)
    except subprocess.TimeoutExpired:
        reason = f"importing it takes more than {limits.probe_s:g} s"
    except GARBLED:
        reason = f"importing it ends the process ({_end_of(done.returncode)})"
    return BindingsProbe(tensorrt_missing=reason, pycuda_missing=reason, cuda_core_missing=reason)


def ensure(
    recipes: Sequence[EngineRecipe],
    folder: Path,
    *,
    device: int = 0,
    bindings: WantedBindings = "auto",
    progress: Progress | None = None,
    limits: BuildLimits = PATIENT,
    command: Sequence[str] = COMMAND,
) -> list[PreparedEngine]:
    """Test the engines that exist, build the missing ones, rebuild a bad one once; in the order of `recipes`.

    Raises OSError where the folder can't be written.
    """
    engine_cache.sweep(folder)
    timing_cache = folder / "timing.cache"
    bench = _BuildWorker(progress or (lambda what, share: None), limits, command)
    jobs = [
        BuildJob(recipe, str(folder / recipe.file), device, False, bindings, str(timing_cache)) for recipe in recipes
    ]
    notes: dict[str, list[str]] = {job.path: [] for job in jobs}
    there = [job for job in jobs if _is_whole(job, notes[job.path])]
    results = bench.work(there) if there else {}
    for attempt in ("first", "again"):
        missing = [job for job in jobs if _wants_building(results.get(job.path), attempt)]
        for job in missing:
            if (failed := results.get(job.path)) is not None:
                notes[job.path].append(failed.text)
        results |= bench.work([msgspec.structs.replace(job, build=True) for job in missing]) if missing else {}
    return [_supplied(job, results[job.path], tuple(notes[job.path])) for job in jobs]


def writable(folder: Path) -> tuple[Path, str]:
    """The folder, or, where it can't be written, one in the temporary files, and why."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=folder, prefix=".writable"):
            return folder, ""
    except OSError as error:
        return _temporary(), f"{folder}: {error.strerror}"


def _temporary() -> Path:
    """A folder that no other user can write to: an engine is code."""
    folder = Path(tempfile.gettempdir()) / f"jetstream-engines-{os.getuid()}"
    with contextlib.suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    found = folder.lstat()
    if stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid() and not found.st_mode & 0o022:
        return folder
    return Path(tempfile.mkdtemp(prefix="jetstream-engines-"))


def _is_whole(job: BuildJob, notes: list[str]) -> bool:
    """Whether the file exists and is undamaged; a damaged one is set aside."""
    path = Path(job.path)
    if not path.exists():
        return False
    try:
        engine_cache.read(path, job.recipe)
    except UnavailableError as reason:
        engine_cache.set_aside(path)
        notes.append(str(reason))
        return False
    return True


def _wants_building(result: BuildEvent | None, attempt: str) -> bool:
    """A missing engine is built; one that fails its test is built again, once. A build that fails is not repeated."""
    if result is None:
        return attempt == "first"
    return result.state == "failed" and result.failed_at == "testing" and not result.is_model


def _supplied(job: BuildJob, result: BuildEvent, notes: tuple[str, ...]) -> PreparedEngine:
    if result.state == "done":
        return PreparedEngine(job.recipe, Path(job.path), result.seconds, result.error, notes=notes)
    return PreparedEngine(job.recipe, None, reason=result.text, notes=notes)


class _BuildWorker:
    """Runs jobs in a child, and in another one after it when it crashes or stays silent."""

    def __init__(self, progress: Progress, limits: BuildLimits, command: Sequence[str]) -> None:
        self._progress, self._limits, self._command = progress, limits, command

    def work(self, jobs: Sequence[BuildJob]) -> dict[str, BuildEvent]:
        """The last event of each job, "done" or "failed", by the job's path."""
        results: dict[str, BuildEvent] = {}
        while left := [job for job in jobs if job.path not in results]:
            for number, event in self._one_child(left):
                results[left[number].path] = event
                self._progress("engines", len(results) / len(jobs))
        return results

    def _one_child(self, jobs: list[BuildJob]) -> Iterator[tuple[int, BuildEvent]]:
        with tempfile.TemporaryFile() as errors, _started(self._command, jobs, errors) as child:
            doing = BuildEvent(0, "testing")  # starting the child takes as long as a test
            began_s = time.monotonic()
            for event in _events(child):
                if event is None:
                    silent_s = time.monotonic() - began_s
                    self._show(jobs[doing.job], doing, silent_s)
                    if silent_s > self._allowed_s(doing):
                        yield doing.job, _failed(doing, f"no answer in {silent_s:.0f} s while {doing.state}")
                        return
                    continue
                began_s = time.monotonic()
                if event.state in ("done", "failed"):
                    yield event.job, _failed(doing, event.text, event.is_model) if event.state == "failed" else event
                    if event.job == len(jobs) - 1:
                        return
                    doing = BuildEvent(event.job + 1, "testing")
                else:
                    doing = event
            yield doing.job, _failed(doing, f"TensorRT's process ended while {doing.state} ({_why(child, errors)})")

    def _allowed_s(self, doing: BuildEvent) -> float:
        return self._limits.build_s if doing.state == "building" else self._limits.test_s

    def _show(self, job: BuildJob, doing: BuildEvent, silent_s: float) -> None:
        if doing.state == "building":
            share = 1 - 0.5 ** (silent_s / HALF_BUILT_S)
            self._progress(f"{job.recipe.network}, {job.recipe.precision}", share)


@contextlib.contextmanager
def _started(command: Sequence[str], jobs: list[BuildJob], errors: IO[bytes]) -> Iterator["subprocess.Popen[bytes]"]:
    child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors)
    try:
        assert child.stdin is not None
        with contextlib.suppress(BrokenPipeError), child.stdin:
            child.stdin.write(msgspec.json.encode(jobs))
        yield child
    finally:
        child.kill()
        with contextlib.suppress(subprocess.TimeoutExpired):  # a process that hangs in the driver can't be killed
            child.wait(timeout=5)


def _events(child: "subprocess.Popen[bytes]") -> Iterator[BuildEvent | None]:
    """The child's events; None after each POLL_S without one. Ends with the child."""
    assert child.stdout is not None
    rest = b""
    with child.stdout as stream:
        while True:
            ready, _, _ = select.select([stream], [], [], POLL_S)
            if not ready:
                yield None
                continue
            some = os.read(stream.fileno(), 65536)
            if not some:
                return
            *lines, rest = (rest + some).split(b"\n")
            for line in lines:
                yield msgspec.json.decode(line, type=BuildEvent)


def _failed(doing: BuildEvent, text: str, is_model: bool = False) -> BuildEvent:
    """The event of a failed job; the file that was under test is set aside."""
    if doing.state == "testing" and doing.text:
        engine_cache.set_aside(Path(doing.text))
    return BuildEvent(doing.job, "failed", text, is_model=is_model, failed_at=doing.state)


def _why(child: "subprocess.Popen[bytes]", errors: IO[bytes]) -> str:
    with contextlib.suppress(subprocess.TimeoutExpired):
        child.wait(timeout=5)
    errors.seek(0)
    lines = errors.read().decode(errors="replace").split("\n")
    said = next((line.strip() for line in reversed(lines) if line.strip()), "")
    return ": ".join(part for part in (_end_of(child.returncode), said) if part)


def _end_of(status: int | None) -> str:
    if status is None:
        return "it can't be ended"
    return signal.Signals(-status).name if status < 0 else f"exit code {status}"
