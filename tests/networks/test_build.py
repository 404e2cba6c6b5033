"""Which backend a run gets and what is logged, with a build process that only pretends: no GPU is needed."""

import functools
import os
import sys
from pathlib import Path

import msgspec
import pytest

from jetstream.config import parts
from jetstream.config.schema import CameraConfig, Config, GpuConfig, ModelsConfig
from jetstream.errors import ModelError, UserError
from jetstream.gpu import cubin_cache
from jetstream.networks import backends, build
from jetstream.runners import cuda_bindings, cuda_driver, onnxrt
from jetstream.runners.base import UnavailableError
from jetstream.runners.tensorrt import prepare
from jetstream.runners.tensorrt.build_pool import BuildLimits
from jetstream.runners.tensorrt.build_protocol import BindingsProbe
from tests.support import fake_build_process
from tests.support.repository import REPOSITORY

QUICK = BuildLimits(build_s=1.0, test_s=3.0, probe_s=5.0)
NETWORKS = ("pnet", "rnet", "onet", "sface")


@pytest.fixture
def machine(monkeypatch):
    """A machine with a GPU, TensorRT and a compiler, whose builds go as the words say: `pnet=build-crash`."""
    monkeypatch.setenv("PYTHONPATH", str(REPOSITORY), prepend=os.pathsep)
    gpu = cuda_driver.GpuInfo("Pretended GPU", "9.0", 2**33)
    monkeypatch.setattr(cuda_driver, "gpus", lambda: (gpu,))
    monkeypatch.setattr(backends.bindings, "is_installed", lambda: True)
    monkeypatch.setattr(cuda_bindings, "is_installed", lambda bindings: True)
    monkeypatch.setattr(onnxrt, "providers", lambda: ("CPUExecutionProvider",))
    monkeypatch.setattr(cubin_cache, "compile_source", lambda source, capability: b"cubin")
    real_ensure, real_probe = prepare.ensure, prepare.probe

    def behave(*how: str) -> None:
        command = [sys.executable, fake_build_process.__file__, *how]
        monkeypatch.setattr(prepare, "ensure", functools.partial(real_ensure, limits=QUICK, command=command))
        monkeypatch.setattr(prepare, "probe", functools.partial(real_probe, QUICK, command))

    behave()
    return behave


@pytest.fixture
def config(models_dir, tmp_path) -> Config:
    return Config(models=ModelsConfig(dir=str(models_dir)), gpu=GpuConfig(engines_dir=str(tmp_path / "engines")))


def explicit(config: Config) -> Config:
    return build._with_gpu(config, backend="tensorrt")


def messages(caplog, level: str) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelname == level]


def test_with_tensorrt_all_engines_are_built_and_one_line_says_so(machine, config, tmp_path, caplog):
    caplog.set_level("INFO")
    prepared = build.prepare(config)
    assert prepared.gpu.backend == "tensorrt"
    assert {path.name.partition("-")[0] for path in (tmp_path / "engines").glob("*.engine")} == set(NETWORKS)
    line = messages(caplog, "INFO")[-1]  # those before are about each build
    assert line == "networks: tensorrt 8.5.3.1, fp16 and fp32, on Pretended GPU, compute capability 9.0"
    assert messages(caplog, "WARNING") == []


@pytest.mark.parametrize("later", [False, True])
def test_engines_are_built_with_cuda_core_where_pycuda_is_missing(machine, config, tmp_path, monkeypatch, later):
    with_core = BindingsProbe(
        tensorrt="tensorrt 8.5.3.1",
        pycuda_missing="PyCUDA isn't installed",
        cuda_core="1.2.2 with cuda-bindings 13.4.4",
    )
    monkeypatch.setattr(prepare, "probe", lambda: with_core)
    monkeypatch.setattr(prepare, "BACKGROUND", [sys.executable, fake_build_process.__file__])
    asked, ensure = [], prepare.ensure

    def seen(*given, **named):
        asked.append(named["bindings"])
        return ensure(*given, **named)

    monkeypatch.setattr(prepare, "ensure", seen)
    prepared = build.prepare(config, later=later)
    assert prepared.gpu.backend == "tensorrt"
    if later:
        assert build.build_missing(prepared, lambda what, share: None) == len(NETWORKS)
    assert set(asked) == {"cuda-core"}
    assert {path.name.partition("-")[0] for path in (tmp_path / "engines").glob("*.engine")} == set(NETWORKS)


def test_a_network_without_an_engine_is_one_warning_and_the_others_keep_theirs(machine, config, caplog):
    machine("pnet=build-crash")
    assert build.prepare(config).gpu.backend == "tensorrt"
    (warning,) = messages(caplog, "WARNING")
    assert warning.startswith("pnet: no TensorRT engine (TensorRT's process ended while building (SIGSEGV")
    assert warning.endswith("; ONNX Runtime on the CPU runs it")


def test_an_engine_that_was_built_again_is_one_warning(machine, config, caplog):
    machine("onet=wrong,good")
    assert build.prepare(config).gpu.backend == "tensorrt"
    assert messages(caplog, "WARNING") == ["onet: an engine was set aside and built again: its answers differ"]


def test_without_any_engine_the_next_backend_takes_over(machine, config):
    machine(*(f"{network}=build-exit" for network in NETWORKS))
    assert build.prepare(config).gpu.backend == "cpu"


def test_a_tensorrt_that_crashes_at_import_is_a_warning_with_auto_and_an_error_when_asked_for(machine, config, caplog):
    machine("probe=crash")
    assert build.prepare(config).gpu.backend == "cpu"
    assert "SIGSEGV" in messages(caplog, "WARNING")[0]
    with pytest.raises(UserError, match=r'gpu\.backend: "tensorrt" can\'t run here: .*SIGSEGV.*; set it to "auto"'):
        build.prepare(explicit(config))


def test_a_folder_that_cannot_be_written_gives_way_with_a_warning(machine, config, tmp_path, monkeypatch, caplog):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    prepared = build.prepare(build._with_gpu(config, engines_dir="/proc/engines"))
    folder = Path(prepared.gpu.engines_dir)
    assert folder.parent == tmp_path
    assert len(list(folder.glob("*.engine"))) == 4
    (warning,) = messages(caplog, "WARNING")
    assert "/proc/engines" in warning
    assert "set gpu.engines_dir" in warning


def test_a_gpu_without_tensorrt_says_what_is_missing(machine, config, monkeypatch, caplog):
    caplog.set_level("INFO")
    monkeypatch.setattr(backends.bindings, "is_installed", lambda: False)
    assert build.prepare(config).gpu.backend == "cpu"
    (line,) = messages(caplog, "INFO")
    assert "TensorRT isn't installed" in line
    assert "no CUDA provider" in line


def test_a_gpu_that_is_not_there_is_said(machine, config):
    choice = backends.choose(GpuConfig(device=3))
    assert choice.best == "cpu"
    assert "there is no GPU 3: this machine has 1, numbered from 0" in choice.why
    assert choice.has_gpu


def test_build_makes_a_row_for_each_network_and_one_for_the_kernels(machine, config):
    rows = list(build.rows(build.build(config)))
    assert [row[0] for row in rows] == [*NETWORKS, "kernels"]
    assert all(row[3] == "built" and len(row) == len(build.COLUMNS) for row in rows)
    assert [row[1] for row in rows] == ["fp32", "fp32", "fp16", "fp32", ""], (
        "the others lose too much in half precision"
    )
    assert rows[-1][2] == "for 9.0"
    again = build.build(config)
    assert [row[3] for row in build.rows(again)] == ["already built"] * 5
    assert again.is_whole


@pytest.fixture
def two_models(machine, monkeypatch) -> None:
    """Three GPUs of two models."""
    big, small = (cuda_driver.GpuInfo(name, number, 2**33) for name, number in (("Big", "9.0"), ("Small", "8.6")))
    monkeypatch.setattr(cuda_driver, "gpus", lambda: (big, small, big))


def shared_out(config: Config, *sizes: int) -> Config:
    """A camera for each size, px, over all three GPUs."""
    cameras = tuple(
        CameraConfig(name=f"c{number}", source="0", max_width=size, max_height=size)
        for number, size in enumerate(sizes)
    )
    gpu = msgspec.structs.replace(config.gpu, devices=(0, 1, 2))
    return msgspec.structs.replace(config, cameras=cameras, gpu=gpu)


def test_each_model_of_gpu_gets_its_engines_from_one_of_its_gpus(two_models, config, tmp_path, monkeypatch, caplog):
    caplog.set_level("INFO")
    asked, ensure = [], prepare.ensure

    def seen(recipes, folder, *, device, **options):
        asked.append((device, [recipe.gpu.partition(",")[0] for recipe in recipes]))
        return ensure(recipes, folder, device=device, **options)

    monkeypatch.setattr(prepare, "ensure", seen)
    prepared = build.prepare(shared_out(config, 640, 640, 640))

    assert prepared.gpu.backend == "tensorrt"
    assert prepared.gpu.devices == (0, 1, 2)
    assert asked == [(0, ["Big"] * 4), (1, ["Small"] * 4)]
    assert len(list((tmp_path / "engines").glob("*.engine"))) == 8
    assert len(list((tmp_path / "engines").glob("kernels-*"))) == 2
    line = messages(caplog, "INFO")[-1]
    assert line == (
        "networks: tensorrt 8.5.3.1, fp16 and fp32, on Big, compute capability 9.0 (GPU 0, 2) and "
        "Small, compute capability 8.6 (GPU 1)"
    )


def test_every_process_finds_the_engines_for_its_gpu_and_its_cameras(two_models, config, tmp_path):
    """P-Net's sizes are those of the largest camera of a process."""
    prepared = build.prepare(shared_out(config, 640, 320, 480, 200))
    there = {path.name for path in (tmp_path / "engines").glob("*.engine")}

    of_parts = [recipe_for_all(own) for own in parts.of_networks(prepared)]

    assert len(of_parts) == 4
    assert set().union(*of_parts) == there
    assert len({name for name in there if name.startswith("pnet")}) == 3  # 640 twice, with and without the others
    assert len({name for name in there if name.startswith("rnet")}) == 2


def recipe_for_all(own: Config) -> set[str]:
    return {recipe.file for recipe in build.recipes(own, "tensorrt 8.5.3.1")}


def test_engines_of_all_models_are_built_during_a_run_and_named_with_their_gpu(
    two_models, machine, config, tmp_path, monkeypatch, caplog
):
    monkeypatch.setattr(prepare, "BACKGROUND", [sys.executable, fake_build_process.__file__, "rnet=build-exit"])
    machine("rnet=build-exit")
    prepared = build.prepare(shared_out(config, 640, 640, 640), later=True)
    assert not list((tmp_path / "engines").glob("*.engine"))

    assert build.build_missing(prepared, lambda what, share: None) == 6
    assert [line.partition(":")[0] for line in messages(caplog, "WARNING")] == ["rnet on Big", "rnet on Small"]


def test_table_names_the_gpu_where_there_are_several_models(two_models, config):
    names = [row[0] for row in build.rows(build.build(shared_out(config, 640, 640, 640)))]

    assert names[:2] == ["pnet on Big", "rnet on Big"]
    assert names[4] == "pnet on Small"
    assert names[-2:] == ["kernels", "kernels"]


def test_without_a_compiler_the_run_goes_on_with_one_warning(machine, config, monkeypatch, caplog):
    def fail(source, capability):
        raise UnavailableError("no nvcc")

    monkeypatch.setattr(cubin_cache, "compile_source", fail)
    assert build.prepare(config).gpu.backend == "tensorrt"
    assert messages(caplog, "WARNING") == [
        "the GPU's kernels can't be compiled (no nvcc); only the networks run on the GPU, with TensorRT"
    ]
    built = build.build(config)
    assert not built.is_whole
    assert list(build.rows(built))[-1][3] == "failed"


def test_stages_load_what_a_run_compiled(machine, config):
    prepared = build.prepare(config)
    assert cubin_cache.load(Path(prepared.gpu.engines_dir), "9.0") == b"cubin"


def test_build_without_tensorrt_is_a_sentence(machine, config, monkeypatch):
    monkeypatch.setattr(backends.bindings, "is_installed", lambda: False)
    with pytest.raises(ModelError, match="no engines can be built here: TensorRT isn't installed; the networks run"):
        build.build(config)
