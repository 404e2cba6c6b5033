"""A GPU whose driver does nothing but bring recorded answers: a `CudaContext`, so that all host code above it runs.

Its answers are faces that move a little, and thumbnails of a video's pictures, each some times in a row.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from jetstream.gpu.results import TOTALS_BYTES
from jetstream.gpu.structs import FACE_FLOATS
from jetstream.runners.cuda_context import Bytes, CudaContext, Graph, Grid, Memory, OpenedMemory
from jetstream.vision.detection import motion

PICTURES = 64  # of the video
BOX = np.array([400, 300, 520, 450], np.float32)
POINTS = np.array([435, 355, 485, 355, 460, 385, 440, 415, 480, 415], np.float32)
CANDIDATES = 30, 4  # of R-Net and O-Net, a picture


class RecordedNet:
    """R-Net or O-Net."""

    def __init__(self, rows: tuple[int, ...]) -> None:
        self.rows = rows

    def enqueue(self, rows: int, image: int, outputs: Mapping[str, int], stream: Any) -> None: ...


class RecordedStream:
    handle = 0

    def synchronize(self) -> None: ...


class RecordedMemory(int):
    """An address of nothing."""

    def free(self) -> None: ...

    def close(self) -> None: ...


class RecordedGraph:
    def launch(self, stream: Any) -> None: ...

    def close(self) -> None: ...


class RecordedContext(CudaContext):
    """What is copied down is the answers to the batch whose description was copied up last."""

    error = ArithmeticError
    multiprocessors = 132
    shares_host_memory = False

    def __init__(self, thumbnails: Sequence[Bytes], held: int, faces: int, most_pictures: int, cameras: int) -> None:
        super().__init__(0, "pycuda")
        self._description: NDArray[Any] = np.zeros(4, np.uint8)
        self._thumbnails, self._held, self._faces, self._most = thumbnails, held, faces, most_pictures
        self._cameras = cameras
        self._given = self._next_address = 0
        self.spent_ns = 0  # to bring the answers

    def _push(self) -> None: ...

    def _pop(self) -> None: ...

    def _release(self) -> None: ...

    def _is_memory(self, error: Exception) -> bool:
        return False

    def stream(self) -> RecordedStream:
        return RecordedStream()

    def event(self, *, timing: bool = False) -> Any: ...

    def allocate(self, n_bytes: int) -> Memory:
        self._next_address += max(n_bytes, 1) + 256
        return RecordedMemory(self._next_address)

    def free_bytes(self) -> int:
        return 0

    def pinned(self, n_bytes: int) -> Bytes:
        return np.zeros(max(n_bytes, 1), np.uint8)

    def register(self, address: int, n_bytes: int) -> bool:
        return True

    def unregister(self, address: int) -> None: ...

    def address_on_gpu(self, address: int) -> int:
        return address

    def upload(self, address: int, source: NDArray[Any], stream: Any) -> None:
        self._description = source

    def download(self, target: NDArray[Any], address: int, stream: Any) -> None:
        begun_ns = time.thread_time_ns()
        pictures = int(self._description[:4].view(np.int32)[0])  # structs.BATCH
        totals = target[: TOTALS_BYTES * pictures].view(np.int32).reshape(-1, 4)
        totals[:] = (self._faces, *CANDIDATES, 0)
        first, stride = TOTALS_BYTES * self._most, 4 * FACE_FLOATS * CANDIDATES[1]
        thumbnail_bytes = -(-self._thumbnails[0].nbytes // 256) * 256
        thumbnails = target[len(target) - thumbnail_bytes * pictures :]
        turn = self._given // self._cameras
        for number in range(pictures):
            faces = target[first + number * stride :][: 4 * FACE_FLOATS * self._faces].view(np.float32)
            faces = faces.reshape(-1, FACE_FLOATS)
            aside = np.arange(self._faces, dtype=np.float32)[:, None] * 200 + np.float32(turn % 5)
            faces[:, :4], faces[:, 4], faces[:, 5:] = BOX + aside, 6.0, POINTS + aside
            picture = self._thumbnails[(turn // self._held) % len(self._thumbnails)]
            thumbnails[number * thumbnail_bytes :][: picture.size] = picture.ravel()
        self._given += pictures
        self.spent_ns += time.thread_time_ns() - begun_ns

    def copy(self, target: int, source: int, n_bytes: int, stream: Any) -> None: ...

    def copy_2d(
        self, target: int, target_pitch: int, source: int, source_pitch: int, size: Grid, stream: Any
    ) -> None: ...

    def module(self, cubin: bytes) -> Any: ...

    def kernel(self, module: Any, name: str, argument_bytes: int, shared_bytes: int) -> Any: ...

    def launch(
        self, kernel: Any, grid: Grid, threads: int, shared_bytes: int, arguments: bytes, stream: Any
    ) -> None: ...

    def record(self, event: Any, stream: Any) -> None: ...

    def wait_on_gpu(self, stream: Any, event: Any) -> None: ...

    def wait(self, event: Any) -> None: ...

    def is_done(self, event: Any) -> bool:
        return True

    def elapsed_ms(self, began: Any, ended: Any) -> float:
        return 0.0

    def finish(self) -> None: ...

    def graph(self, stream: Any, work: Callable[[], None]) -> Graph:
        return RecordedGraph()

    def export(self, memory: Memory) -> bytes:
        raise NotImplementedError

    def open_memory(self, handle: bytes) -> OpenedMemory:
        raise NotImplementedError


def thumbnails_of(video: Path, height: int, width: int) -> list[Bytes]:
    """Of the video's first pictures, at this size."""
    capture = cv2.VideoCapture(str(video))
    found = []
    while len(found) < PICTURES:
        there, image = capture.read()
        if not there:
            break
        found.append(motion.thumbnail(np.asarray(cv2.resize(image, (width, height)), np.uint8)))
    return found
