"""Engines that are there or a clause why not: real files, and a real child process that hangs and crashes."""

import contextlib
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from jetstream.runners.tensorrt import engine_cache, prepare
from jetstream.runners.tensorrt.build_pool import BuildLimits
from jetstream.runners.tensorrt.engine_cache import EngineRecipe, fixed
from tests.support.repository import REPOSITORY
from tests.support.waiting import PATIENCE_S, wait_until

FAKE = REPOSITORY / "tests" / "support" / "fake_build_process.py"
PATIENT = BuildLimits(build_s=PATIENCE_S, test_s=PATIENCE_S, probe_s=PATIENCE_S)
QUICK = BuildLimits(build_s=5.0, test_s=5.0, probe_s=1.0)
"""for what hangs; on a busy machine a process takes seconds to start"""


def command(*how: str) -> list[str]:
    return [sys.executable, str(FAKE), *how]


@pytest.fixture(autouse=True)
def importable(monkeypatch):
    """The fake runs as a script of its own, from anywhere."""
    monkeypatch.setenv("PYTHONPATH", str(FAKE.parents[2]), prepend=os.pathsep)


@pytest.fixture
def builds_at_once(monkeypatch):
    """How many builds the machine carries."""
    return lambda count: monkeypatch.setattr(prepare, "AT_ONCE", count)


def recipe(network: str) -> EngineRecipe:
    return EngineRecipe(
        network, f"{network}.onnx", "ab" * 32, "tensorrt 8.5.3.1", "GPU", "fp16", (fixed(1, 3, 24, 24),)
    )


def ensure(
    folder: Path, *how: str, networks: tuple[str, ...] = ("pnet", "rnet", "onet"), limits: BuildLimits = PATIENT
):
    found = prepare.ensure([recipe(name) for name in networks], folder, limits=limits, command=command(*how))
    assert [one.recipe.network for one in found] == list(networks)
    return {one.recipe.network: one for one in found}


def names(folder: Path, pattern: str) -> list[str]:
    return sorted(path.name.partition("-")[0] for path in folder.glob(pattern))


def test_missing_engines_are_built_and_found_again(tmp_path):
    first = ensure(tmp_path)
    assert [one.seconds for one in first.values()] == [1.5] * 3
    assert engine_cache.read(first["pnet"].path, recipe("pnet")).plan.startswith(b"an engine")
    again = ensure(tmp_path)
    assert [one.seconds for one in again.values()] == [0.0] * 3
    assert not list(tmp_path.glob("*.new"))


def test_engines_are_built_where_a_thousand_files_are_open(tmp_path):
    """As in the supervisor of a hundred cameras: `select` takes no descriptor beyond 1023."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    if before[1] != resource.RLIM_INFINITY and before[1] < 2048:
        pytest.skip(f"the system allows {before[1]} open files")
    resource.setrlimit(resource.RLIMIT_NOFILE, (2048, before[1]))
    with contextlib.ExitStack() as stack:
        stack.callback(resource.setrlimit, resource.RLIMIT_NOFILE, before)
        for _ in range(1100):
            stack.callback(os.close, os.open(os.devnull, os.O_RDONLY))
        test_missing_engines_are_built_and_found_again(tmp_path)


def test_engines_are_built_beside_each_other(tmp_path, builds_at_once):
    builds_at_once(3)
    found = ensure(tmp_path, "pnet=build-meet", "rnet=build-meet", "onet=build-meet")
    assert all(one.path for one in found.values())


def test_no_more_are_built_at_once_than_the_machine_carries(tmp_path, builds_at_once):
    builds_at_once(1)
    found = ensure(tmp_path, "pnet=build-alone", "rnet=build-alone", "onet=build-alone")
    assert [one.reason for one in found.values()] == [""] * 3


def test_a_build_that_was_killed_for_its_memory_goes_well_alone(tmp_path, builds_at_once):
    builds_at_once(3)
    found = ensure(tmp_path, "pnet=build-killed,build-alone", "rnet=build-killed,build-alone")
    assert all(one.path for one in found.values())
    assert found["pnet"].notes == ("TensorRT's process ended while building (SIGKILL)",)


def test_a_build_that_is_killed_again_is_given_up(tmp_path):
    found = ensure(tmp_path, "pnet=build-killed")
    assert found["pnet"].reason == "TensorRT's process ended while building (SIGKILL)"
    assert found["rnet"].path
    assert (tmp_path / recipe("pnet").file).with_suffix(".tries").read_text() == "2"


def test_missing_ones_stay_missing_where_nothing_is_to_be_built(tmp_path):
    ensure(tmp_path, networks=("pnet", "onet"))
    found = {
        one.recipe.network: one
        for one in prepare.ensure(
            [recipe(name) for name in ("pnet", "rnet", "onet")],
            tmp_path,
            build=False,
            limits=PATIENT,
            command=command("onet=good,wrong"),
        )
    }
    assert [name for name, one in found.items() if one.is_missing] == ["rnet", "onet"]
    assert found["onet"].notes == ("its answers differ",)
    assert names(tmp_path, "*.engine") == ["pnet"]


def test_each_build_has_a_bar_and_a_line_at_its_start_and_end(tmp_path, caplog):
    heard: dict[str, float] = {}
    with caplog.at_level("INFO"):
        prepare.ensure(
            [recipe("pnet"), recipe("rnet")],
            tmp_path,
            progress=lambda what, share: heard.__setitem__(what, share),
            limits=PATIENT,
            command=command("rnet=build-exit"),
        )
    assert heard == {"engines": 1.0, "pnet, fp16": 1.0, "rnet, fp16": 1.0}
    assert sorted(record.getMessage() for record in caplog.records) == [
        "pnet: building its engine for TensorRT, fp16",
        "pnet: its engine is built, in 2 s",
        "rnet: building its engine for TensorRT, fp16",
        "rnet: its engine could not be built",
    ]


def test_what_the_progress_raises_ends_all_builds(tmp_path, builds_at_once):
    builds_at_once(3)
    before = psutil.Process().children(recursive=True)

    def stop(what: str, share: float) -> None:
        if len(psutil.Process().children()) >= len(before) + 3:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        prepare.ensure(
            [recipe(name) for name in ("pnet", "rnet", "onet")],
            tmp_path,
            progress=stop,
            limits=PATIENT,
            command=command("pnet=build-hang", "rnet=build-hang", "onet=build-hang"),
        )
    assert set(psutil.Process().children(recursive=True)) <= set(before)


def test_ctrl_c_ends_all_builds(tmp_path):
    script = (
        "from pathlib import Path; from tests.runners.tensorrt.test_prepare import *;"
        f"ensure(Path({str(tmp_path)!r}), *['pnet=build-hang', 'rnet=build-hang', 'onet=build-hang'])"
    )
    parent = subprocess.Popen([sys.executable, "-c", script], stderr=subprocess.PIPE, cwd=REPOSITORY)
    wait_until(lambda: list(tmp_path.glob("*.tries")))
    children = psutil.Process(parent.pid).children(recursive=True)
    assert children
    parent.send_signal(signal.SIGINT)
    assert b"KeyboardInterrupt" in parent.communicate(timeout=PATIENCE_S)[1]
    wait_until(lambda: not any(child.is_running() for child in children))


def test_a_build_that_hangs_ends_in_time_and_the_others_are_built(tmp_path):
    began_s, before = time.monotonic(), psutil.Process().children(recursive=True)
    found = ensure(tmp_path, "rnet=build-hang", limits=QUICK)
    assert time.monotonic() - began_s < PATIENCE_S
    assert found["rnet"].path is None
    assert "no answer in" in found["rnet"].reason
    assert "while building" in found["rnet"].reason
    assert found["pnet"].path
    assert found["onet"].path
    assert set(psutil.Process().children(recursive=True)) <= set(before)


def test_a_crash_is_a_sentence_with_the_signal_and_the_last_words(tmp_path):
    found = ensure(tmp_path, "rnet=build-crash")
    assert found["rnet"].reason == (
        "TensorRT's process ended while building (SIGSEGV: Assertion failed in the myelin compiler)"
    )
    assert found["pnet"].path
    assert found["onet"].path


def test_an_engine_that_hangs_in_its_test_is_set_aside_and_built_again_once(tmp_path):
    found = ensure(tmp_path, "pnet=hang", networks=("pnet",), limits=QUICK)
    assert found["pnet"].path is None
    assert "while testing" in found["pnet"].reason
    assert names(tmp_path, "*.bad") == ["pnet"]
    assert (tmp_path / recipe("pnet").file).with_suffix(".tries").read_text() == "2"
    assert not (tmp_path / recipe("pnet").file).exists()


def test_an_engine_that_answers_wrongly_is_replaced_by_the_next_build(tmp_path):
    found = ensure(tmp_path, "pnet=wrong,good")
    assert found["pnet"].path == tmp_path / recipe("pnet").file
    assert found["pnet"].notes == ("its answers differ",)
    assert names(tmp_path, "*.bad") == ["pnet"]


def test_an_engine_that_was_good_and_now_crashes_is_built_again(tmp_path):
    ensure(tmp_path)
    found = ensure(tmp_path, "onet=good,crash,good")
    assert found["onet"].path
    assert "SIGSEGV" in found["onet"].notes[0]
    assert names(tmp_path, "*.bad") == ["onet"]
    assert found["pnet"].notes == ()


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda content: content[:500], "cut off"),
        (lambda content: content[:20], "not an engine"),
        (lambda content: bytes(len(content)), "not an engine"),
        (lambda content: content[:-40] + bytes(40), "checksum"),
        (lambda content: b"", "not an engine"),
    ],
    ids=["truncated", "truncated early", "zeroed", "zeroed end", "empty"],
)
def test_a_damaged_file_is_set_aside_before_tensorrt_sees_it_and_built_again(tmp_path, damage, reason):
    ensure(tmp_path)
    path = tmp_path / recipe("rnet").file
    path.write_bytes(damage(path.read_bytes()))
    found = ensure(tmp_path)
    assert reason in found["rnet"].notes[0]
    assert found["rnet"].seconds == 1.5
    assert names(tmp_path, "*.bad") == ["rnet"]
    assert engine_cache.read(path, recipe("rnet"))


def test_another_tensorrts_file_under_this_name_is_set_aside(tmp_path):
    other = EngineRecipe("rnet", "rnet.onnx", "ab" * 32, "tensorrt 10.3.0", "GPU", "fp16", (fixed(1, 3, 24, 24),))
    assert other.file != recipe("rnet").file
    engine_cache.write(tmp_path / recipe("rnet").file, other, b"foreign")
    found = ensure(tmp_path)
    assert "built with tensorrt 10.3.0, found tensorrt 8.5.3.1" in found["rnet"].notes[0]
    assert found["rnet"].path


def test_progress_ends_at_one(tmp_path):
    heard: list[tuple[str, float]] = []
    prepare.ensure(
        [recipe("pnet")],
        tmp_path,
        progress=lambda *what: heard.append(what),
        limits=PATIENT,
        command=command("pnet=good"),
    )
    assert heard[-1] == ("engines", 1.0)


def test_probe_says_what_can_be_imported():
    assert prepare.probe(PATIENT, command()).tensorrt == "tensorrt 8.5.3.1"


@pytest.mark.parametrize(("act", "reason"), [("hang", "more than 1 s"), ("crash", "SIGSEGV"), ("exit", "exit code 3")])
def test_an_import_that_hangs_or_crashes_is_a_clause(act, reason):
    limits = QUICK if act == "hang" else PATIENT
    assert reason in prepare.probe(limits, command(f"probe={act}")).tensorrt_missing


def test_the_real_build_process_says_what_is_missing_here():
    found = prepare.probe()
    assert found.tensorrt or found.tensorrt_missing
    assert found.pycuda or found.pycuda_missing
    assert found.cuda_core or found.cuda_core_missing


def test_a_folder_that_can_be_written_is_taken(tmp_path):
    assert prepare.writable(tmp_path / "engines") == (tmp_path / "engines", "")


def test_a_folder_that_cannot_be_written_gives_way_to_ones_own_temporary_one():
    folder, trouble = prepare.writable(Path("/proc/engines"))  # not even root may write there
    assert "/proc/engines" in trouble
    assert folder.stat().st_uid == os.getuid()
    assert not folder.stat().st_mode & 0o022


def test_somebody_elses_temporary_folder_is_not_trusted(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    (tmp_path / "theirs").mkdir()
    (tmp_path / f"jetstream-engines-{os.getuid()}").symlink_to(tmp_path / "theirs")
    folder, _ = prepare.writable(Path("/proc/engines"))
    assert folder.parent == tmp_path
    assert folder.name not in ("theirs", f"jetstream-engines-{os.getuid()}")
