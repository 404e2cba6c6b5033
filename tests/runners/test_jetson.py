"""What `jetstream doctor` says of a Jetson, told from folders that look like one's root."""

from pathlib import Path

import pytest

from jetstream.runners import jetson

ORIN = "NVIDIA Jetson Orin Nano Developer Kit\0"
RELEASE = (
    "# R{} (release), REVISION: {}, GCID: 38968081, BOARD: generic, EABI: aarch64, DATE: Wed Jan  8 01:49:37 UTC 2025\n"
)
TENSORRT = "usr/lib/python{}/dist-packages/tensorrt/__init__.py"
DLA = "usr/lib/aarch64-linux-gnu/nvidia/libnvdla_compiler.so"
NVCC = "usr/local/cuda/bin/nvcc"
NVRTC = "usr/local/cuda-12.6/targets/aarch64-linux/lib/libnvrtc.so.12"


def machine(root: Path, *files: str, l4t: tuple[int, str] | None = (36, "4.3"), board: str = ORIN) -> Path:
    contents = dict.fromkeys(files, "something")
    if l4t:
        contents["etc/nv_tegra_release"] = RELEASE.format(*l4t)
    if board:
        contents["proc/device-tree/model"] = board
    for name, content in contents.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(content)
    return root


def found(root: Path, tensorrt: jetson.TensorRTState = "works", python: tuple[int, int] = (3, 10)) -> dict[str, str]:
    """Each topic's text, after "- " where something is missing."""
    findings = jetson.findings(tensorrt, root, python)
    return {one.topic: f"{'' if one.ok else '- '}{one.found}" for one in findings}


def test_another_machine_is_no_jetson(tmp_path):
    assert found(machine(tmp_path, NVCC, l4t=None, board="")) == {}
    assert jetson.model(tmp_path) == ""


def test_a_board_has_its_name(tmp_path):
    assert jetson.model(machine(tmp_path)) == "NVIDIA Jetson Orin Nano Developer Kit"


@pytest.mark.parametrize(
    ("l4t", "python", "expected"),
    [
        ((36, "4.3"), (3, 10), "JetPack 6 (L4T 36.4.3), with Python 3.10 and TensorRT 10.3"),
        ((39, "2.0"), (3, 12), "JetPack 7.2 (L4T 39.2.0), with Python 3.12 and TensorRT 10.16"),
        ((41, "1.0"), (3, 13), "L4T 41.1.0, which jetstream doesn't know"),
        (
            (32, "7.4"),
            (3, 10),
            "- JetPack 4 (L4T 32.7.4): its Python 3.6 is too old for jetstream, which needs 3.10",
        ),
        ((35, "6.0"), (3, 10), "- JetPack 5 (L4T 35.6.0): its Python 3.8 is too old for jetstream, which needs 3.10"),
    ],
)
def test_the_jetpack_is_told_by_its_release(tmp_path, l4t, python, expected):
    assert found(machine(tmp_path, l4t=l4t), python=python)["JetPack"] == expected


@pytest.mark.parametrize("content", ["", "# R (release), REVISION", "\0\xff"])
def test_a_release_that_cannot_be_read_is_unknown(tmp_path, content):
    machine(tmp_path)
    (tmp_path / "etc/nv_tegra_release").write_text(content, encoding="latin-1")
    assert found(tmp_path)["JetPack"] == "- unknown: no release in /etc/nv_tegra_release"


def test_a_container_without_the_hosts_release_says_where_it_is(tmp_path):
    said = found(machine(tmp_path, ".dockerenv", DLA, l4t=None))["JetPack"]
    assert said.endswith("; a container sees it when it is mounted from the host")


@pytest.mark.parametrize(
    ("files", "python", "expected"),
    [
        ((), (3, 10), "- not installed for Python (apt install python3-libnvinfer)"),
        (
            (TENSORRT.format("3.10"),),
            (3, 10),
            "- this virtual environment doesn't see it; make it with python3 -m venv --system-site-packages",
        ),
        (
            (TENSORRT.format("3.10"),),
            (3, 12),
            "- is for Python 3.10, and this is 3.12; make the virtual environment with "
            "python3.10 -m venv --system-site-packages",
        ),
    ],
)
def test_a_tensorrt_that_this_python_does_not_see_is_explained(tmp_path, files, python, expected):
    assert found(machine(tmp_path, *files), "missing", python)["JetPack's TensorRT"] == expected


@pytest.mark.parametrize("state", ["works", "broken"])
def test_a_tensorrt_that_is_seen_is_not_looked_for(tmp_path, state):
    assert "JetPack's TensorRT" not in found(machine(tmp_path), state)


@pytest.mark.parametrize(
    ("l4t", "remedy"),
    [
        ((36, "4.7"), "run it with NVIDIA's container runtime, on a host with nvidia-l4t-dla-compiler"),
        ((39, "2.0"), "the host has none to mount, so take an image with JetPack 7.2's TensorRT"),
    ],
)
@pytest.mark.parametrize("mark", [".dockerenv", "run/.containerenv"])
def test_a_container_without_the_dla_compiler_is_told_what_to_do(tmp_path, l4t, remedy, mark):
    said = found(machine(tmp_path, mark, l4t=l4t), "broken")["DLA compiler"]
    assert said.startswith("- this container has no libnvdla_compiler.so")
    assert said.endswith(remedy)


def test_an_empty_dla_compiler_is_as_good_as_none(tmp_path):
    machine(tmp_path, ".dockerenv", DLA)
    assert "DLA compiler" not in found(tmp_path, "broken")
    (tmp_path / DLA).write_bytes(b"")
    assert "DLA compiler" in found(tmp_path, "broken")


@pytest.mark.parametrize(("files", "state"), [((), "broken"), ((".dockerenv",), "works")])
def test_the_dla_compiler_is_looked_for_only_where_it_is_the_reason(tmp_path, files, state):
    assert "DLA compiler" not in found(machine(tmp_path, *files), state)


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ((NVCC, NVRTC), "has nvcc; `pip install pycuda` needs /usr/local/cuda/bin in PATH"),
        ((NVRTC,), "no nvcc, so PyCUDA can't be compiled: take cuda-core; NVRTC compiles the kernels"),
        (
            (),
            "- no nvcc and no NVRTC: only kernels that were built before can be used "
            "(pip install nvidia-cuda-nvrtc-cu12)",
        ),
    ],
)
def test_what_compiles_pycuda_and_the_kernels_is_said(tmp_path, files, expected):
    assert found(machine(tmp_path, *files))["CUDA toolkit"] == expected
