"""`jetstream doctor` and `jetstream build`, on whatever machine this is."""

import functools
import json

import pytest

from jetstream import doctor
from jetstream.config.schema import Config, GpuConfig, ModelsConfig
from jetstream.errors import ModelError
from jetstream.gpu import cubin_cache
from jetstream.networks import build
from jetstream.runners import cuda_bindings, cuda_driver, jetson
from jetstream.runners.tensorrt import bindings, engine_cache, prepare
from jetstream.runners.tensorrt.build_protocol import BindingsProbe
from jetstream.runners.tensorrt.engine_cache import EngineRecipe, fixed
from tests.support.repository import DEFAULT, REPOSITORY

TOPICS = {
    "jetstream",
    "driver",
    "TensorRT",
    "PyCUDA",
    "cuda-core",
    "bindings",
    "onnxruntime",
    "nvcc",
    "NVRTC",
    "/dev/shm",
    "decodes",
    "encodes",
    "GStreamer",
}


def test_doctor_prints_every_topic_and_the_choice(jetstream, tmp_path):
    done = jetstream.outside("doctor", "--set", f"models.dir={tmp_path}")
    assert done.returncode == 0, done.stderr
    assert {line.split()[0] for line in done.stdout.splitlines()} >= TOPICS
    assert done.stdout.splitlines()[-1].startswith("backend")
    assert "engines" in done.stdout


def test_doctor_prints_json_with_the_same_facts(jetstream):
    done = jetstream("doctor", str(REPOSITORY / "configs" / "server.toml"), "--json")
    report = json.loads(done.stdout)
    assert {fact["topic"] for fact in report["facts"]} >= TOPICS
    assert report["backend"] in ("tensorrt", "onnxruntime", "cpu")
    assert report["why"]


def test_doctor_says_what_is_missing_without_a_gpu(no_gpu):
    report = doctor.examine(Config())
    assert report.backend == "cpu"
    assert "no NVIDIA driver" in report.why or "sees no GPU" in report.why
    assert not next(fact for fact in report.facts if fact.topic == "driver").ok


def test_doctor_says_that_a_backend_asked_for_is_not_here(no_gpu):
    report = doctor.examine(Config(gpu=GpuConfig(backend="tensorrt")))
    assert report.backend == "tensorrt"
    assert "can't run here" in report.why


def test_doctor_lists_stale_and_bad_engines(tmp_path):
    folder = tmp_path / "engines"
    folder.mkdir()
    old = EngineRecipe("rnet", "rnet.onnx", "ab" * 32, "tensorrt 7.0", "Nano", "fp16", (fixed(1, 3, 24, 24),))
    engine_cache.write(folder / old.file, old, b"engine")
    (folder / "onet-fp16-0.engine").write_bytes(b"damaged")
    report = doctor.examine(Config(models=ModelsConfig(dir=str(tmp_path))))
    assert [(one.file, one.state) for one in report.engines] == [("onet-fp16-0.engine", "bad"), (old.file, "stale")]
    said = "\n".join(doctor.lines(report))
    assert "stale (for tensorrt 7.0, Nano, 1x3x24x24)" in said
    assert "bad (not an engine made by jetstream, or damaged)" in said


def test_doctor_lists_the_kernels_and_misses_those_for_the_gpu(tmp_path, monkeypatch):
    monkeypatch.setattr(cuda_driver, "gpus", lambda: (cuda_driver.GpuInfo("Pretended GPU", "9.0", 2**33),))
    monkeypatch.setattr(bindings, "is_installed", lambda: True)
    monkeypatch.setattr(prepare, "probe", lambda: BindingsProbe(tensorrt="tensorrt 8.5.3.1"))
    monkeypatch.setattr(cubin_cache, "compile_source", lambda source, capability: b"cubin" * 100_000)
    wanted = cubin_cache.file_name(cubin_cache.sources(), "9.0")
    config = Config(gpu=GpuConfig(engines_dir=str(tmp_path)))
    old = cubin_cache.ensure(tmp_path, "9.0", "an older source")
    cubin_cache.ensure(tmp_path, "7.2").write_bytes(b"damaged")
    before = doctor.examine(config)
    assert {one.file: one.state for one in before.kernels}[wanted] == "missing"
    assert f"{wanted}: missing (`jetstream build` makes it)" in "\n".join(doctor.lines(before))
    cubin_cache.ensure(tmp_path, "9.0")
    states = {one.file: (one.state, one.reason) for one in doctor.examine(config).kernels}
    assert states[wanted] == ("ready", "0.50 MB")
    assert states[old.name] == ("stale", "for another jetstream or GPU")
    assert states[cubin_cache.file_name(cubin_cache.sources(), "7.2")] == (
        "bad",
        "not kernels made by jetstream, or damaged",
    )


def test_doctor_knows_codecs_that_ffmpeg_lacks(monkeypatch):
    monkeypatch.setattr(doctor, "CODECS", ("h264", "no_such_codec"))
    report = doctor.examine(Config())
    assert next(fact for fact in report.facts if fact.topic == "decodes").found == "h264; not no_such_codec"


def test_build_says_why_there_is_nothing_to_build(jetstream, no_gpu):
    done = jetstream.outside("build", DEFAULT, sets=True)
    assert done.returncode == 1
    assert done.stderr.startswith("jetstream: no engines can be built here: ")
    assert done.stderr.rstrip().endswith("the networks run without them")


def test_build_raises_where_there_is_no_gpu(no_gpu):
    with pytest.raises(ModelError, match="no engines can be built here"):
        build.build(Config())


def test_a_run_without_a_gpu_is_decided_in_silence(no_gpu, caplog):
    with caplog.at_level("DEBUG"):
        assert build.prepare(Config()).gpu.backend == "cpu"
    assert caplog.records == []


@pytest.mark.parametrize(
    ("setting", "sentence"),
    [
        ("gpu.backend=cuda", "gpu.backend"),
        ("gpu.precision=int8", "gpu.precision"),
        ("gpu.batch=0", "gpu.batch"),
        ("gpu.device=-1", "gpu.device"),
        ("gpu.max_wait_s=5", "gpu.max_wait_s"),
    ],
)
def test_a_wrong_key_is_a_sentence(jetstream, setting, sentence):
    done = jetstream("check", DEFAULT, "--set", setting)
    assert done.returncode == 2
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("wanted", "probe", "expected"),
    [
        ("auto", BindingsProbe(pycuda="2026.1", cuda_core="1.2.2"), "PyCUDA (auto: the first that works)"),
        (
            "auto",
            BindingsProbe(pycuda_missing="PyCUDA isn't installed", cuda_core="1.2.2 with cuda-bindings 13.4.4"),
            "cuda-core (auto: PyCUDA isn't installed); the driver runs CUDA up to 12.6: "
            "pip install 'cuda-bindings==12.*'",
        ),
        (
            "cuda-core",
            BindingsProbe(pycuda="2026.1", cuda_core="1.2.2 with cuda-bindings 12.9.4"),
            'cuda-core (set by gpu.bindings = "cuda-core")',
        ),
    ],
)
def test_doctor_says_which_bindings_of_cuda_are_used_and_why(monkeypatch, wanted, probe, expected):
    monkeypatch.setattr(bindings, "is_installed", lambda: True)
    monkeypatch.setattr(prepare, "probe", lambda: probe)
    monkeypatch.setattr(cuda_driver, "cuda_version", lambda: "12.6")
    report = doctor.examine(Config(gpu=GpuConfig(bindings=wanted)))
    assert next(fact for fact in report.facts if fact.topic == "bindings").found == expected


def test_doctor_leaves_tensorrt_where_the_bindings_that_are_set_cannot_be_imported(monkeypatch):
    missing = "PyCUDA can't be imported (libcurand.so.10: no such file)"
    monkeypatch.setattr(cuda_driver, "gpus", lambda: (cuda_driver.GpuInfo("Pretended GPU", "9.0", 2**33),))
    monkeypatch.setattr(bindings, "is_installed", lambda: True)
    monkeypatch.setattr(cuda_bindings, "is_installed", lambda name: True)
    monkeypatch.setattr(
        prepare,
        "probe",
        lambda: BindingsProbe(tensorrt="tensorrt 10.3.0", pycuda_missing=missing, cuda_core="1.2.2"),
    )
    report = doctor.examine(Config(gpu=GpuConfig(bindings="pycuda")))
    assert (report.backend, report.why) == ("cpu", missing)
    assert doctor.examine(Config()).backend == "tensorrt"


def test_doctor_says_what_a_jetson_lacks(tmp_path, monkeypatch):
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/nv_tegra_release").write_text("# R36 (release), REVISION: 4.3, GCID: 1, BOARD: generic\n")
    monkeypatch.setattr(jetson, "findings", functools.partial(jetson.findings, root=tmp_path))
    said = "\n".join(doctor.lines(doctor.examine(Config())))
    assert "JetPack 6 (L4T 36.4.3), with Python 3.10 and TensorRT 10.3" in said
    assert "- no nvcc and no NVRTC" in said
