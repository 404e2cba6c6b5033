"""Builds and tests engines; where there is no engine, one clause says why.

Knows the cache (`engine_cache`) and the processes that build (`build_pool`), which have time limits; imports no
TensorRT.
"""

import contextlib
import logging
import os
import stat
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from jetstream.errors import GARBLED
from jetstream.runners.base import UnavailableError
from jetstream.runners.cuda_bindings import WantedBindings
from jetstream.runners.tensorrt import engine_cache
from jetstream.runners.tensorrt.build_pool import BuildLimits, BuildPool, Progress, end_of
from jetstream.runners.tensorrt.build_protocol import BindingsProbe, BuildEvent, BuildJob
from jetstream.runners.tensorrt.engine_cache import EngineRecipe

COMMAND = (sys.executable, "-m", "jetstream.runners.tensorrt.build_process")
BACKGROUND = (*COMMAND, "background")
"""the same at low priority, beside a running pipeline"""
PATIENT = BuildLimits()

AT_ONCE = 1
"""engines that are built at once on one GPU. TensorRT times kernels on it, and processes share it in slices of time:
four at once took 398 s on an H200, where one after the other take 328, and one of them 246 s instead of 96"""


class PreparedEngine(NamedTuple):
    """One engine: its file, or the reason why there is none."""

    recipe: EngineRecipe
    path: Path | None
    seconds: float = 0.0  # that building took; 0: it was built already
    error: float = 0.0  # largest difference from ONNX Runtime in its test, as a share of the largest value
    reason: str = ""
    notes: tuple[str, ...] = ()  # what was set aside on the way

    @property
    def is_missing(self) -> bool:
        """Whether it has not been built yet."""
        return self.path is None and not self.reason


def probe(limits: BuildLimits = PATIENT, command: Sequence[str] = COMMAND) -> BindingsProbe:
    """Which TensorRT and which bindings of CUDA can be imported, tried in a child process because it may crash."""
    try:
        done = subprocess.run([*command, "probe"], capture_output=True, timeout=limits.probe_s, check=False)
        return msgspec.json.decode(done.stdout, type=BindingsProbe)
    except subprocess.TimeoutExpired:
        reason = f"importing it takes more than {limits.probe_s:g} s"
    except GARBLED:
        reason = f"importing it ends the process ({end_of(done.returncode)})"
    return BindingsProbe(tensorrt_missing=reason, pycuda_missing=reason, cuda_core_missing=reason)


def ensure(
    recipes: Sequence[EngineRecipe],
    folder: Path,
    *,
    device: int = 0,
    bindings: WantedBindings = "auto",
    build: bool = True,
    progress: Progress | None = None,
    level: int = logging.INFO,
    limits: BuildLimits = PATIENT,
    command: Sequence[str] = COMMAND,
) -> list[PreparedEngine]:
    """Test the engines that exist, build the missing ones, rebuild a bad one once; in the order of
    `recipes`. `build` false: the missing ones stay missing. `level`: of the log lines about builds.

    Raises OSError where the folder can't be written, and what `progress` raises.
    """
    engine_cache.sweep(folder)
    timing_cache = folder / "timing.cache"
    jobs = [
        BuildJob(recipe, str(folder / recipe.file), device, False, bindings, str(timing_cache)) for recipe in recipes
    ]
    notes: dict[str, list[str]] = {job.path: [] for job in jobs}
    results: dict[str, BuildEvent] = {}

    def work(lists: Sequence[Sequence[BuildJob]], at_once: int) -> None:
        pool = BuildPool(command, limits, at_once, progress or (lambda what, share: None), level)
        results.update(pool.work(lists) if lists else {})

    there = [job for job in jobs if _is_whole(job, notes[job.path])]
    work([there] if there else [], 1)
    for at_once in (AT_ONCE, 1):  # what fails for want of memory may go well alone
        missing = [job for job in jobs if _wants_building(results.get(job.path))]
        for job in missing:
            if (failed := results.pop(job.path, None)) is not None:
                notes[job.path].append(failed.text)
        work([[msgspec.structs.replace(job, build=True)] for job in missing if build], at_once)
    return [_supplied(job, results.get(job.path), tuple(notes[job.path])) for job in jobs]


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


def _wants_building(result: BuildEvent | None) -> bool:
    """Whether it is missing, fails its test, or its build was killed. No other failed build is repeated."""
    if result is None:
        return True
    return result.state == "failed" and (result.failed_at == "testing" or result.was_killed) and not result.is_model


def _supplied(job: BuildJob, result: BuildEvent | None, notes: tuple[str, ...]) -> PreparedEngine:
    if result is None:
        return PreparedEngine(job.recipe, None, notes=notes)
    if result.state == "done":
        return PreparedEngine(job.recipe, Path(job.path), result.seconds, result.error, notes=notes)
    return PreparedEngine(job.recipe, None, reason=result.text, notes=notes)
