"""Kernels to a cubin and back from the cache: real compilers where there are some, and pretended ones that fail."""

import os
import struct
import time
from pathlib import Path

import psutil
import pytest

from jetstream.gpu import compilers, cubin_cache, nvrtc
from jetstream.gpu.compilers import Compiler
from jetstream.runners.base import UnavailableError
from tests.support.waiting import PATIENCE_S

SOURCE = """
#line 1 "pictures.cu"
extern "C" __global__ void fill(float* values) {
    __shared__ float tile[JETSTREAM_TILE];
    tile[threadIdx.x % JETSTREAM_TILE] = values[threadIdx.x];
    __syncthreads();
    values[threadIdx.x] = tile[0];
}
"""
WRONG = '#line 1 "nms.cu"\nextern "C" __global__ void fill(float* values) {\n    values[0] = nothing;\n}\n'
COMPILERS = {
    kind: next((one for one in compilers.found() if one.name.startswith(kind)), None) for kind in ("nvcc", "NVRTC")
}


@pytest.fixture(params=COMPILERS)
def compiler(request) -> Compiler:
    """Each real compiler."""
    if (found := COMPILERS[request.param]) is None:
        pytest.skip(f"needs {request.param}")
    return found


@pytest.fixture
def alone(monkeypatch):
    """Makes a list of compilers the only ones here, and returns which were asked."""

    def only(*present: Compiler) -> list[str]:
        asked = []

        def compile_by(one, *words, real=compilers.compile_by):
            asked.append(one.name)
            return real(one, *words)

        monkeypatch.setattr(compilers, "found", lambda: iter(present))
        monkeypatch.setattr(compilers, "compile_by", compile_by)
        return asked

    return only


@pytest.fixture
def pretended(tmp_path):
    """A compiler that is a shell script; `$cubin` is the file to write."""

    def make(name: str, script: str) -> Compiler:
        path = tmp_path / name.replace(" ", "-")
        path.write_text(f'#!/bin/sh\nwhile [ "$1" != -o ]; do shift; done\ncubin=$2\n{script}\n')
        path.chmod(0o755)
        return Compiler(name, str(path), (str(path),))

    return make


@pytest.mark.parametrize("capability", ["7.5", "8.7", "9.0", "12.0"])
def test_a_cubin_is_for_the_gpu_that_was_asked_for(compiler, alone, capability):
    alone(compiler)
    cubin = cubin_cache.compile_source(SOURCE, capability)
    assert b"fill" in cubin
    assert architecture(cubin) == capability.replace(".", "")


@pytest.mark.parametrize("capability", ["7.5", "9.0"])
def test_our_kernels_compile(compiler, alone, capability):
    alone(compiler)
    assert architecture(cubin_cache.compile_source(cubin_cache.sources(), capability)) == capability.replace(".", "")


@pytest.mark.parametrize("capability", ["5.3", "6.1", "7.2"])
def test_old_gpus_get_small_tiles_and_whichever_compiler_still_knows_them(alone, capability):
    if (old := COMPILERS["NVRTC"]) is None:
        pytest.skip("needs NVRTC")
    alone(*filter(None, COMPILERS.values()))
    try:
        cubin = cubin_cache.compile_source(cubin_cache.sources(), capability)
    except UnavailableError as reason:
        pytest.skip(f"{old.name} is too new: {reason}")
    assert architecture(cubin) == capability.replace(".", "")


def test_a_wrong_source_names_file_line_and_reason_once_a_compiler(compiler, alone):
    alone(compiler)
    with pytest.raises(
        UnavailableError, match=rf'^{compiler.name}: nms\.cu\(2\): error: identifier "nothing" is undefined$'
    ):
        cubin_cache.compile_source(WRONG, "9.0")


def test_a_gpu_that_no_compiler_knows_is_said_with_a_remedy(compiler, alone):
    alone(compiler)
    with pytest.raises(
        UnavailableError, match=r"it doesn't support this GPU \(try pip install nvidia-cuda-nvrtc-cu12\)$"
    ):
        cubin_cache.compile_source(SOURCE, "8.4")


def test_a_compiler_that_fails_gives_way_to_the_next(alone, pretended):
    broken = pretended("nvcc 9.0", "echo \"nvcc fatal   : Unsupported gpu architecture 'sm_90'\" >&2; exit 1")
    asked = alone(broken, pretended("NVRTC 12.9", "printf cubin > $cubin"))
    assert cubin_cache.compile_source(SOURCE, "9.0") == b"cubin"
    assert asked == ["nvcc 9.0", "NVRTC 12.9"]


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        (
            "echo 'gcc: No such file or directory'; echo 'nvcc fatal : Failed' >&2; exit 1",
            "gcc: No such file or directory",
        ),
        ("exit 3", "it ended with 3 and gave no reason"),
        ("kill -SEGV $$", "it ended with -11 and gave no reason"),
        ("exit 0", "it ended with 0 and gave no reason"),
    ],
)
def test_what_a_compiler_says_last_is_the_reason(alone, pretended, script, reason):
    alone(pretended("nvcc 13.0", script))
    with pytest.raises(UnavailableError, match=f"^nvcc 13.0: {reason} "):
        cubin_cache.compile_source(SOURCE, "9.0")


def test_a_compiler_that_is_no_program_is_a_clause(alone, tmp_path):
    (tmp_path / "nvcc").touch()
    alone(Compiler("nvcc", str(tmp_path / "nvcc"), (str(tmp_path / "nvcc"),)))
    with pytest.raises(UnavailableError, match=r"nvcc: .*/nvcc can't be run \(Permission denied\)"):
        cubin_cache.compile_source(SOURCE, "9.0")


def test_a_compiler_that_hangs_is_ended_with_its_children(pretended, tmp_path):
    hanging = pretended("nvcc 13.0", f"sleep 600 & echo $! > {tmp_path}/child; wait")
    began_s = time.monotonic()
    with pytest.raises(UnavailableError, match=r"^nvcc 13.0: no answer in 0\.5 s$"):
        compilers.compile_by(hanging, SOURCE, (), 0.5)
    child = int((tmp_path / "child").read_text())
    while is_running(child):
        assert time.monotonic() - began_s < PATIENCE_S
        time.sleep(0.05)


def test_without_any_compiler_the_sentence_says_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(nvrtc, "TOOLKITS", tmp_path)
    if any(name.startswith("NVRTC") for name, _, _ in compilers.found()):
        pytest.skip("NVRTC is here")
    with pytest.raises(UnavailableError) as caught:
        cubin_cache.compile_source(SOURCE, "9.0")
    assert str(caught.value) == (
        "no nvcc and no NVRTC to compile the GPU kernels with "
        "(CUDA toolkit's nvcc, or pip install nvidia-cuda-nvrtc-cu12)"
    )


def test_nvcc_on_the_path_comes_first_and_tells_its_release(monkeypatch, tmp_path, pretended):
    os.rename(pretended("nvcc", "").path, tmp_path / "nvcc")
    (tmp_path / "nvcc").write_text("#!/bin/sh\necho 'Cuda compilation tools, release 12.4, V12.4.131'\n")
    monkeypatch.setenv("PATH", str(tmp_path))
    first = next(compilers.found())
    assert (first.name, first.path) == ("nvcc 12.4", str(tmp_path / "nvcc"))


def test_an_nvrtc_that_cannot_be_loaded_is_none(monkeypatch, tmp_path):
    folder = tmp_path / "nvidia" / "cuda_nvrtc" / "lib"
    folder.mkdir(parents=True)
    (folder / "libnvrtc.so.12").write_bytes(b"no library")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)
    assert not [path for _, path, _ in compilers.found() if path.startswith(str(tmp_path))]


@pytest.mark.parametrize("capability", ["5.2", "3.5", "13.0"])
def test_a_gpu_that_is_too_old_or_too_new_is_said(tmp_path, capability):
    with pytest.raises(
        UnavailableError, match=f"compute capability {capability}: the GPU kernels are made for 5.3 to 12"
    ):
        cubin_cache.ensure(tmp_path, capability, SOURCE)


def test_sources_are_all_files_in_order_each_with_its_name():
    lines = cubin_cache.sources().splitlines()
    assert [line for line in lines if line.startswith("#line")] == [f'#line 1 "{name}"' for name in cubin_cache.NAMES]
    assert not [line for line in lines if line.lstrip().startswith("#include")]


def test_a_missing_kernel_file_is_a_clause(monkeypatch, tmp_path):
    monkeypatch.setattr(cubin_cache, "KERNELS", tmp_path)
    with pytest.raises(
        UnavailableError, match=r"common\.cu: No such file or directory; jetstream's installation is incomplete"
    ):
        cubin_cache.sources()


def test_source_and_gpu_make_another_name():
    name = cubin_cache.file_name(SOURCE, "9.0")
    assert name.startswith("kernels-sm_90-")
    assert name.endswith(".cubin")
    assert cubin_cache.file_name(SOURCE + " ", "9.0") != name
    assert cubin_cache.file_name(SOURCE, "12.0").startswith("kernels-sm_120-")


def test_kernels_compile_once(alone, pretended, tmp_path):
    asked = alone(pretended("nvcc 13.0", "printf cubin > $cubin"))
    path = cubin_cache.ensure(tmp_path, "9.0", SOURCE)
    assert cubin_cache.ensure(tmp_path, "9.0", SOURCE) == path
    assert asked == ["nvcc 13.0"]
    assert cubin_cache.load(tmp_path, "9.0", SOURCE) == b"cubin"
    assert cubin_cache.is_there(tmp_path, "9.0", SOURCE)


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda content: content[:-1], "cut off: 4 of 5 bytes"),
        (lambda content: content[:-1] + b"x", "damaged: its checksum differs"),
        (lambda content: b"\0" * len(content), "not kernels made by jetstream, or damaged"),
        (lambda content: b"", "not kernels made by jetstream, or damaged"),
    ],
    ids=["cut", "changed", "zeroed", "empty"],
)
def test_a_damaged_file_is_refused_and_compiled_again(alone, pretended, tmp_path, damage, reason):
    asked = alone(pretended("nvcc 13.0", "printf cubin > $cubin"))
    path = cubin_cache.ensure(tmp_path, "9.0", SOURCE)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(UnavailableError) as caught:
        cubin_cache.load(tmp_path, "9.0", SOURCE)
    assert str(caught.value) == f"{path}: {reason} (`jetstream build` makes them)"
    cubin_cache.ensure(tmp_path, "9.0", SOURCE)
    assert cubin_cache.load(tmp_path, "9.0", SOURCE) == b"cubin"
    assert len(asked) == 2


def test_kernels_that_were_not_compiled_are_a_clause(tmp_path):
    with pytest.raises(
        UnavailableError, match=rf"no kernels for this GPU in {tmp_path} yet \(`jetstream build` makes them\)"
    ):
        cubin_cache.load(tmp_path, "9.0", SOURCE)
    assert not cubin_cache.is_there(tmp_path, "9.0", SOURCE)


def test_a_folder_that_cannot_be_written_is_a_clause(alone, pretended):
    alone(pretended("nvcc 13.0", "printf cubin > $cubin"))
    with pytest.raises(UnavailableError, match=r"^/proc: "):
        cubin_cache.ensure(Path("/proc"), "9.0", SOURCE)


def is_running(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def architecture(cubin: bytes) -> str:
    """ "90", from the ELF header's flags: a byte of them is the number, which one differs between CUDA 12 and 13."""
    assert cubin[:4] == b"\x7fELF"
    (flags,) = struct.unpack_from("<I", cubin, 48)
    return str(flags & 0xFF if cubin[8] < 8 else flags >> 8 & 0xFF)
