"""The contract of `gpu.device` on a real GPU, by PyCUDA and by cuda-core: `python -m pytest tests/gpu/test_device.py`.

It runs alone, without TensorRT and the networks, so that compute-sanitizer can watch it.
"""

import gc
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from jetstream.gpu import cubin_cache
from jetstream.gpu.device import CudaDevice
from jetstream.ipc.ring import Ring, segment_name
from jetstream.picture_format import GpuMemory
from jetstream.runners import cuda_bindings, cuda_context, cuda_driver
from jetstream.runners.base import UnavailableError
from jetstream.runners.cuda_context import DefaultStream
from tests.support.waiting import PATIENCE_S

pytestmark = pytest.mark.gpu

KERNELS = """
struct Scaling { const float* from; float* to; int count; float factor; };

extern "C" __global__ void scale(Scaling work, int plus) {
    for (int i = threadIdx.x; i < work.count; i += blockDim.x) work.to[i] = work.from[i] * work.factor + plus;
}

extern "C" __global__ void scale_slowly(Scaling work, int plus) {
    for (long long end = clock64() + 200000000; clock64() < end;) {}
    for (int i = 0; i < work.count; i++) work.to[i] = work.from[i] * work.factor + plus;
}

extern "C" __global__ void reverse(Scaling work, int plus) {
    extern __shared__ float shared[];
    for (int i = threadIdx.x; i < work.count; i += blockDim.x) shared[i] = work.from[i] * work.factor + plus;
    __syncthreads();
    for (int i = threadIdx.x; i < work.count; i += blockDim.x) work.to[i] = shared[work.count - 1 - i];
}
"""
COUNT = 1000
GUEST = """
import sys
import numpy as np
from jetstream.gpu.device import CudaDevice
device = CudaDevice(0, open(sys.argv[1], "rb").read(), sys.argv[2])
with device.current():
    stream = device.stream()
    theirs = device.open_memory(bytes.fromhex(sys.argv[3]))
    here = np.empty(1000, np.float32)
    device.download(here, theirs, stream)
    stream.synchronize()
    print(here.sum())
    device.upload(theirs, here * 2, stream)
    stream.synchronize()
    device.close_memory(theirs)
device.close()
"""
OWNER = """
import sys
import numpy as np
from jetstream.gpu.device import CudaDevice
device = CudaDevice(0, open(sys.argv[1], "rb").read(), sys.argv[2])
with device.current():
    stream = device.stream()
    address = device.allocate(1000)
    device.upload(address, np.full(1000, int(sys.argv[3]), np.uint8), stream)
    stream.synchronize()
    print(device.export(address).hex(), flush=True)
sys.stdin.read()
"""


@pytest.fixture(scope="module")
def cubin(tmp_path_factory) -> Path:
    try:
        capability = cuda_driver.gpu(0).capability
        content = cubin_cache.compile_source(KERNELS, capability)
    except UnavailableError as missing:
        pytest.skip(str(missing))
    path = tmp_path_factory.mktemp("kernels") / "device.cubin"
    path.write_bytes(content)
    return path


@pytest.fixture(params=cuda_bindings.ORDER)
def bindings(request, cubin) -> cuda_bindings.Bindings:
    need(request.param)
    return request.param


def need(bindings: cuda_bindings.Bindings) -> None:
    if missing := cuda_bindings.missing(bindings):
        pytest.skip(missing)


@pytest.fixture
def device(bindings, cubin) -> Iterator[CudaDevice]:
    opened = CudaDevice(0, cubin.read_bytes(), bindings)
    assert opened._context.bindings == bindings
    with opened.current():
        yield opened
    opened.close()
    assert cuda_context._open == {}


def numbers(count: int = COUNT) -> np.ndarray:
    return np.random.default_rng(count).uniform(-9, 9, count).astype(np.float32)


def scaling(source: int, target: int, *, count: int = COUNT, factor: float = 2.0, plus: int = 1) -> bytes:
    return struct.pack("=QQifi", source, target, count, factor, plus)


def uploaded(device: CudaDevice, values: np.ndarray, stream) -> int:
    address = device.allocate(values.nbytes)
    device.upload(address, values, stream)
    stream.synchronize()
    return address


def downloaded(device: CudaDevice, address: int, stream, count: int = COUNT, dtype=np.float32) -> np.ndarray:
    values = np.empty(count, dtype)
    device.download(values, address, stream)
    stream.synchronize()
    return values


def test_memory_is_zeroed_and_holds_what_is_copied_up(device):
    stream = device.stream()
    address = device.allocate(4 * COUNT)
    assert not downloaded(device, address, stream).any()
    device.upload(address, numbers(), stream)
    assert np.array_equal(downloaded(device, address, stream), numbers())


def test_no_bytes_are_some_memory_with_an_address(device):
    addresses = [device.allocate(0), device.allocate(0)]
    assert len({*addresses, 0}) == 3
    assert len(device.pinned(0)) == 1


def test_page_locked_memory_is_copied_up_and_down(device):
    stream = device.stream()
    up, down = (device.pinned(4 * COUNT).view(np.float32) for _ in range(2))
    up[:] = numbers()
    address = uploaded(device, up, stream)
    device.download(down, address, stream)
    stream.synchronize()
    assert np.array_equal(down, up)


def test_an_array_with_gaps_is_refused_and_not_copied_wrongly(device):
    stream = device.stream()
    address = device.allocate(4 * COUNT)
    with pytest.raises((ValueError, BufferError)):
        device.upload(address, np.ones(2 * COUNT, np.float32)[::2], stream)
    assert not downloaded(device, address, stream).any()


def test_memory_is_copied_on_the_gpu(device):
    stream = device.stream()
    source, target = uploaded(device, numbers(), stream), device.allocate(4 * COUNT)
    device.copy(target + 40, source + 20, 400, stream)
    found = downloaded(device, target, stream)
    assert np.array_equal(found[10:110], numbers()[5:105])
    assert not found[:10].any()
    assert not found[110:].any()


def test_rows_are_copied_from_one_pitch_to_another(device):
    """As the planes of an NV12 surface are, whose rows are padded."""
    stream = device.stream()
    surface = np.random.default_rng(1).integers(0, 256, (270, 512), dtype=np.uint8)
    source, target = uploaded(device, surface, stream), device.allocate(270 * 480)
    device.copy_2d(target, 480, source, 512, (480, 270), stream)
    found = downloaded(device, target, stream, 270 * 480, np.uint8).reshape(270, 480)
    assert np.array_equal(found, surface[:, :480])


def test_a_row_longer_than_its_pitch_is_an_error(device):
    stream = device.stream()
    source, target = device.allocate(1000), device.allocate(1000)
    with pytest.raises(RuntimeError, match="the GPU fails"), device.current():
        device.copy_2d(target, 10, source, 100, (20, 5), stream)


def test_a_rings_memory_is_page_locked_once_and_let_go_at_the_end(bindings, cubin):
    picture = np.random.default_rng(2).integers(0, 256, (720, 1280, 3), dtype=np.uint8)
    with Ring.create(segment_name("device-test"), slots=4, max_width=1280, max_height=720) as ring:
        ring.write(picture)
        for _ in range(2):
            device = CudaDevice(0, cubin.read_bytes(), bindings)
            view = ring.view(0)
            with device.current():
                stream = device.stream()
                for _ in range(2):
                    device.pin(view.image)
                assert device._to_unpin == [ring._array().ctypes.data]
                address = uploaded(device, view.image, stream)
                found = downloaded(device, address, stream, picture.size, np.uint8)
                device.reads_host_memory = True
                there = device.address_on_gpu(view.image)
                assert there is not None
                device.copy(address, there, picture.nbytes, stream)
                again = downloaded(device, address, stream, picture.size, np.uint8)
            device.close()
            assert np.array_equal(found, picture.ravel())
            assert np.array_equal(again, picture.ravel())
            del view


def test_what_is_no_shared_memory_has_no_address_on_the_gpu(device):
    device.reads_host_memory = True
    device.pin(numbers())
    assert device.address_on_gpu(numbers()) is None


def test_a_kernel_takes_a_struct_and_a_number(device):
    stream = device.stream()
    source, target = uploaded(device, numbers(), stream), device.allocate(4 * COUNT)
    for factor, plus in ((2.0, 1), (-0.5, -7)):
        arguments = scaling(source, target, factor=factor, plus=plus)
        device.launch("scale", (1, 1), 128, 0, arguments, stream)
        expected = numbers() * np.float32(factor) + np.float32(plus)
        np.testing.assert_allclose(downloaded(device, target, stream), expected, rtol=1e-5, atol=1e-5)


def test_a_kernel_gets_more_shared_memory_than_is_usual(device):
    stream = device.stream()
    count = 15_000  # 60,000 bytes; 48 KiB are usual
    source, target = uploaded(device, numbers(count), stream), device.allocate(4 * count)
    arguments = scaling(source, target, count=count, factor=1.0, plus=0)
    device.launch("reverse", (1, 1), 512, 4 * count, arguments, stream)
    assert np.array_equal(downloaded(device, target, stream, count), numbers(count)[::-1])


def test_a_stream_waits_for_an_event_of_another(device):
    first, second = device.stream(), device.stream()
    there = device.event()
    source, between, target = uploaded(device, numbers(), first), device.allocate(4 * COUNT), device.allocate(4 * COUNT)
    device.launch("scale_slowly", (1, 1), 1, 0, scaling(source, between), first)
    device.record(there, first)
    device.wait_on_gpu(second, there)
    device.launch("scale", (1, 1), 128, 0, scaling(between, target, plus=0), second)
    np.testing.assert_allclose(downloaded(device, target, second), (numbers() * 2 + 1) * 2, rtol=1e-5, atol=1e-5)


def test_events_say_when_work_is_done_and_how_long_it_took(device):
    stream = device.stream()
    began, ended = device.event(timing=True), device.event(timing=True)
    source, target = uploaded(device, numbers(), stream), device.allocate(4 * COUNT)
    device.record(began, stream)
    device.launch("scale_slowly", (1, 1), 1, 0, scaling(source, target), stream)
    device.record(ended, stream)
    device.wait(ended)
    assert device.is_done(ended)
    assert 1 < device.elapsed_ms(began, ended) < 60_000


def test_a_graph_runs_when_it_is_launched_and_as_often(device):
    stream = device.stream()
    source, target = uploaded(device, numbers(), stream), device.allocate(4 * COUNT)
    here = device.pinned(4 * COUNT).view(np.float32)

    def work() -> None:
        device.launch("scale", (1, 1), 128, 0, scaling(source, target), stream)
        device.download(here, target, stream)

    work()  # the first launch of a kernel may allocate
    stream.synchronize()
    here[:] = 0
    graph = device.graph(stream, work)
    stream.synchronize()
    assert not here.any()
    for values in (numbers(), -numbers()):
        device.upload(source, values, stream)
        graph.launch(stream)
        stream.synchronize()
        np.testing.assert_allclose(here, values * 2 + 1, rtol=1e-5, atol=1e-5)
    graph.close()
    graph.close()


def test_a_recording_that_fails_leaves_a_stream_that_works(device):
    stream = device.stream()
    with pytest.raises(ZeroDivisionError):
        device.graph(stream, lambda: 1 // 0)
    address = uploaded(device, numbers(), stream)
    assert np.array_equal(downloaded(device, address, stream), numbers())


@pytest.mark.parametrize("guest", cuda_bindings.ORDER)
def test_another_process_reads_and_writes_exported_memory(device, cubin, guest):
    need(guest)
    if device.reads_host_memory:
        pytest.skip("drivers of Jetsons share no memory between processes this way")
    stream = device.stream()
    address = uploaded(device, numbers(), stream)
    handle = device.export(address)
    assert len(handle) == 64
    command = [sys.executable, "-c", GUEST, str(cubin), guest, handle.hex()]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=PATIENCE_S)
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) == pytest.approx(float(numbers().sum()), rel=1e-4)
    assert np.array_equal(downloaded(device, address, stream), numbers() * 2)


def test_the_default_stream_copies_and_is_waited_for(device):
    stream, rows = device.stream(), np.arange(60, dtype=np.uint8).reshape(5, 12)
    context, address, other = device._context, uploaded(device, rows, stream), device.allocate(64)
    context.copy_2d(other, 7, address + 2, 24, (7, 3), DefaultStream())
    here = np.zeros(21, np.uint8)
    context.download(here, other, DefaultStream())
    context.wait_for_default_stream()
    assert np.array_equal(here.reshape(3, 7), rows[::2, 2:9])


def test_rows_are_copied_down_from_where_they_lie_apart(device):
    stream, rows = device.stream(), np.arange(60, dtype=np.uint8).reshape(5, 12)
    address = uploaded(device, rows, stream)
    for here in (np.zeros((3, 7), np.uint8), device.pinned(21).reshape(3, 7)):
        device.download_2d(here, address + 2, 24, stream)
        stream.synchronize()
        assert np.array_equal(here, rows[::2, 2:9])


@pytest.mark.parametrize("guest", cuda_bindings.ORDER)
def test_newer_memory_of_an_owner_replaces_the_older(device, cubin, guest):
    """Of two processes: the first is gone when the second one's memory is opened."""
    need(guest)
    for value in (3, 4):
        command = [sys.executable, "-c", OWNER, str(cubin), guest, str(value)]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as owner:
            memory = GpuMemory(0, bytes.fromhex(owner.stdout.readline()), "ring")
            address = device.address_of(memory)
            assert device.address_of(memory) == address
            assert (downloaded(device, address, device.stream(), dtype=np.uint8) == value).all()
            owner.kill()
    assert len(device._opened) == 1


def test_a_handle_that_cannot_be_opened_is_a_clause(device):
    address = device.allocate(1000)
    for wrong in (device.export(address), b"\xff" * 64, b"short"):
        with pytest.raises(UnavailableError, match="can't be shared between processes"):
            device.open_memory(wrong)


def test_memory_is_freed_and_closed_once(device):
    address = device.allocate(1000)
    device.free(address)
    for again in (device.free, device.export, device.close_memory):
        with pytest.raises(ValueError, match=rf"no memory is (allocated|opened) at {address:#x}"):
            again(address)


def test_a_device_is_closed_twice_without_harm(bindings, cubin):
    device = CudaDevice(0, cubin.read_bytes(), bindings)
    with device.current():
        device.allocate(1000)
    device.close()
    device.close()
    assert cuda_context._open == {}


def test_page_locked_memory_outlives_its_device(bindings, cubin):
    """What it holds may be gone with the context; freeing it must not crash."""
    device = CudaDevice(0, cubin.read_bytes(), bindings)
    with device.current():
        pinned = device.pinned(1000)
        stream, event = device.stream(), device.event()
    device.close()
    del pinned, stream, event
    gc.collect()


def test_too_little_memory_is_a_sentence(device):
    with pytest.raises(UnavailableError, match=r"too little memory .* lower detect.batch"), device.current():
        device.allocate(2**45)
    assert device.allocate(1000)


def test_what_is_no_cubin_is_unavailable_and_leaves_no_context(bindings):
    with pytest.raises(UnavailableError, match="the GPU does not accept the kernels"):
        CudaDevice(0, b"no kernels" + bytes(4096), bindings)
    assert cuda_context._open == {}


def test_a_cubin_for_another_gpu_is_unavailable(bindings):
    other = "8.0" if cuda_driver.gpu(0).capability == "7.5" else "7.5"
    try:
        content = cubin_cache.compile_source(KERNELS, other)
    except UnavailableError as missing:
        pytest.skip(str(missing))
    with pytest.raises(UnavailableError, match="the GPU does not accept the kernels"):
        CudaDevice(0, content, bindings)


def test_a_gpu_that_is_not_there_is_unavailable(bindings):
    with pytest.raises(UnavailableError, match="no CUDA context on GPU 63"):
        cuda_context.use(63, bindings)
    assert cuda_context._open == {}


def test_a_kernel_that_is_not_there_is_an_error(device):
    with pytest.raises(RuntimeError, match="the GPU fails"), device.current():
        device.launch("nothing", (1, 1), 32, 0, b"", device.stream())


def test_two_devices_of_one_gpu_share_its_context(device, cubin, bindings):
    other = CudaDevice(0, cubin.read_bytes(), bindings)
    assert len(cuda_context._open) == 1
    stream = device.stream()
    address = uploaded(device, numbers(), stream)
    other.close()
    assert np.array_equal(downloaded(device, address, stream), numbers())


def test_every_gpu_has_its_own_context_and_memory(device, cubin, bindings):
    if len(cuda_driver.gpus()) == 1:
        pytest.skip("needs two GPUs")
    second = CudaDevice(1, cubin.read_bytes(), bindings)
    stream = device.stream()
    address = uploaded(device, numbers(), stream)
    with second.current():
        other = second.stream()
        theirs = uploaded(second, -numbers(), other)
        assert np.array_equal(downloaded(second, theirs, other), -numbers())
    assert np.array_equal(downloaded(device, address, stream), numbers())
    second.close()


def test_another_thread_uses_the_device(device):
    found = []

    def work() -> None:
        with device.current():
            stream = device.stream()
            address = uploaded(device, numbers(), stream)
            found.append(downloaded(device, address, stream))
            del stream  # PyCUDA destroys it only while its context is current in this thread

    thread = threading.Thread(target=work)
    thread.start()
    thread.join(PATIENCE_S)
    assert np.array_equal(found[0], numbers())


def test_opening_and_closing_leaves_no_memory_behind(device, cubin, bindings):
    def once() -> None:
        other = CudaDevice(0, cubin.read_bytes(), bindings)
        with other.current():
            other.allocate(2**26)
            other.pinned(2**20)
            graph = other.graph(other.stream(), lambda: None)
            graph.close()
        other.close()

    once()
    before = device._context.free_bytes()
    for _ in range(5):
        once()
    assert before - device._context.free_bytes() < 2**24
