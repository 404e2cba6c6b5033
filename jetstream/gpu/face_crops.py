"""Faces in pictures on the GPU: the rows that chips touch, copied up and halved, and each chip's place in them.

Knows no network. `vision.recognition.align` defines where a chip is cut; the structs are those of kernels/chips.cu.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from jetstream.gpu.device import Device
from jetstream.gpu.planes import planes_on_gpu
from jetstream.gpu.structs import NV12
from jetstream.picture_format import GpuPicture, Nv12Picture, PicturePlace, is_nv12, nv12_bytes
from jetstream.vision.recognition import align
from jetstream.vision.recognition.align import ChipPlace, FaceTemplate
from jetstream.vision.recognition.embedder import View

FACE = np.dtype(
    [
        ("pixels", np.uint64),
        ("rows", np.int32),
        ("columns", np.int32),
        ("stride", np.int32),
        ("matrix", np.float32, 6),
    ],
    align=True,
)
HALVING = np.dtype([("from", np.uint64), ("to", np.uint64), ("rows", np.int32), ("columns", np.int32)], align=True)
STRIP = np.dtype([("planes", NV12), ("to", np.uint64), ("rows", np.int32), ("columns", np.int32)], align=True)
_THREADS = 128
_ROWS_A_THREAD = 8  # RUN of kernels/chips.cu


class RowStrip(NamedTuple):
    """The rows of a picture, all columns, that its chips touch."""

    pixels: PicturePlace  # a view of the picture; no rows where there is no chip to cut
    top: int  # the picture's row that comes first, on the grid of 2**levels; of NV12 an even one
    levels: int  # most halvings that a chip needs
    places: list[list[ChipPlace | None]]  # of each template and face; None: its chip is black

    @property
    def shapes(self) -> list[tuple[int, int]]:
        """Rows and columns of the strip and of each halving."""
        shapes = [(self.pixels.shape[0], self.pixels.shape[1])]
        for _ in range(self.levels):
            rows, columns = shapes[-1]
            shapes.append(((rows + 1) // 2, (columns + 1) // 2))
        return shapes

    @property
    def n_bytes(self) -> int:
        """On the GPU: all sizes, then the planes of NV12."""
        return sum(map(_n_bytes, self.shapes)) + self.planes_bytes

    @property
    def planes_bytes(self) -> int:
        """To copy them up."""
        return _aligned(nv12_bytes(*self.shapes[0])) if isinstance(self.pixels, Nv12Picture) else 0


class GrowingBuffer:
    """Memory on the GPU that grows and loses its contents when it does."""

    def __init__(self, device: Device) -> None:
        self._device = device
        self._address = self._n_bytes = 0

    def fit(self, n_bytes: int) -> int:
        """The address of at least `n_bytes`. Raises UnavailableError where the GPU has too little memory."""
        if n_bytes > self._n_bytes:
            self.free()
            self._address = self._device.allocate(n_bytes)
            self._n_bytes = n_bytes
        return self._address

    def free(self) -> None:
        if self._n_bytes:
            self._n_bytes = 0
            self._device.free(self._address)


class FaceBuffer:
    """Memory for the faces of one call at a time. Call inside `device.current()`."""

    def __init__(self, device: Device, copies: Any, compute: Any, templates: Sequence[FaceTemplate]) -> None:
        """`copies` is the stream of uploads, `compute` the one of the kernels that read them. Each face has a chip of
        each of the `templates`."""
        self._templates = tuple(templates)
        self._device, self._copies, self._compute = device, copies, compute
        self._pictures, self._faces = GrowingBuffer(device), GrowingBuffer(device)
        self._described = device.pinned(0)
        self._arrived = device.event()

    def bring(self, views: Sequence[View]) -> int:
        """Copy the views up; the address of the FACE structs: those of the first template in order, then the others'.

        Valid until the next call. Raises UnavailableError where the GPU has too little memory.
        """
        strips = [strip_of(*view, *self._templates) for view in views]
        address = self._pictures.fit(sum(strip.n_bytes for strip in strips))
        count = sum(len(strip.places[0]) for strip in strips)
        described = self._room_for(count * len(self._templates))
        faces, first = self._faces.fit(described.nbytes), 0
        structs = described.view(FACE).reshape(len(self._templates), count)
        levels: list[list[int]] = []
        planes: list[NDArray[Any] | None] = []
        for strip in strips:
            planes.append(self._planes(strip, address + strip.n_bytes - strip.planes_bytes))
            levels.append(self._levels(strip, address))
            after = first + len(strip.places[0])
            for row, places in zip(structs, strip.places, strict=True):
                describe(row[first:after], places, strip, levels[-1])
            address, first = address + strip.n_bytes, after
        self._device.upload(faces, described, self._copies)
        self._device.record(self._arrived, self._copies)
        self._device.wait_on_gpu(self._compute, self._arrived)
        for strip, given, addresses in zip(strips, planes, levels, strict=True):
            if given is not None:
                self._convert(strip, given, addresses[0])
            self._halve(strip, addresses)
        return faces

    def free(self) -> None:
        self._pictures.free()
        self._faces.free()

    def _room_for(self, count: int) -> NDArray[np.uint8]:
        n_bytes = count * FACE.itemsize
        if n_bytes > self._described.nbytes:
            self._described = self._device.pinned(n_bytes)
        return self._described[:n_bytes]

    def _planes(self, strip: RowStrip, place: int) -> NDArray[Any] | None:
        """The planes of NV12 on the GPU; None: the strip is BGR, or has no rows."""
        if isinstance(strip.pixels, (Nv12Picture, GpuPicture)) and strip.pixels.shape[0]:
            return planes_on_gpu(self._device, strip.pixels, place, self._copies)
        return None

    def _convert(self, strip: RowStrip, planes: NDArray[Any], to: int) -> None:
        rows, columns = strip.shapes[0]
        arguments = np.array((planes, to, rows, columns), STRIP)
        grid = -(-columns // (2 * _THREADS)), -(-rows // 2)
        self._device.launch("strip_to_bgr", grid, _THREADS, 0, arguments.tobytes(), self._compute)

    def _levels(self, strip: RowStrip, address: int) -> list[int]:
        """The address of each level of the strip; of BGR the first is copied up, unless the GPU reads it in place."""
        ends = np.cumsum([_n_bytes(shape) for shape in strip.shapes[:-1]], dtype=np.int64)
        addresses = [address, *(address + ends).tolist()]
        if not isinstance(strip.pixels, (Nv12Picture, GpuPicture)) and strip.pixels.size:
            self._device.pin(strip.pixels)
            there = self._device.address_on_gpu(strip.pixels)
            if there is None:
                self._device.upload(address, np.ascontiguousarray(strip.pixels), self._copies)
            else:
                addresses[0] = there
        return addresses

    def _halve(self, strip: RowStrip, addresses: Sequence[int]) -> None:
        for level in range(strip.levels):
            (rows, columns), (new_rows, new_columns) = strip.shapes[level : level + 2]
            halving = np.array((addresses[level], addresses[level + 1], rows, columns), HALVING)
            grid = -(-3 * new_columns // _THREADS), -(-new_rows // _ROWS_A_THREAD)
            self._device.launch("pyr_down", grid, _THREADS, 0, halving.tobytes(), self._compute)


def strip_of(image: PicturePlace, landmarks: NDArray[Any], *templates: FaceTemplate) -> RowStrip:
    """The rows of a picture that the faces' chips touch. `landmarks` (N, 5, 2) in its pixels."""
    height, width = image.shape[:2]
    places = [
        [
            None
            if (found := align.similarity(points, template)) is None
            else align.place(found, template, height, width)
            for points in landmarks
        ]
        for template in templates
    ]
    real = [place for row in places for place in row if place is not None]
    levels = max((place.levels for place in real), default=0)
    grid = max(2**levels, 2 if is_nv12(image) else 1)
    top = min((place.top for place in real), default=0) // grid * grid
    bottom = max((place.bottom for place in real), default=top)
    return RowStrip(_rows(image, top, bottom), top, levels, places)


def _rows(image: PicturePlace, top: int, bottom: int) -> PicturePlace:
    """A view of some rows, of NV12 from an even one on."""
    if isinstance(image, GpuPicture):
        return image.rows(top, bottom)
    if isinstance(image, Nv12Picture):
        return Nv12Picture(image.luma[top:bottom], image.chroma[top // 2 : (bottom + 1) // 2], image.format)
    return image[top:bottom]


def describe(
    faces: NDArray[Any], places: Sequence[ChipPlace | None], strip: RowStrip, addresses: Sequence[int]
) -> None:
    """Fill `faces`, FACE, with places in the strip's levels at these addresses."""
    faces[:] = np.zeros((), FACE)
    for face, place in zip(faces, places, strict=True):
        if place is None:
            continue
        grid = 2**place.levels
        stride = strip.shapes[place.levels][1]
        row, column = (place.top - strip.top) // grid, place.left // grid
        face["pixels"] = addresses[place.levels] + (row * stride + column) * 3
        face["rows"], face["columns"] = -(-(place.bottom - place.top) // grid), -(-(place.right - place.left) // grid)
        face["stride"] = stride
        face["matrix"] = place.matrix.ravel()


def _n_bytes(shape: tuple[int, int]) -> int:
    return _aligned(shape[0] * shape[1] * 3)


def _aligned(n_bytes: int) -> int:
    return -(-n_bytes // 256) * 256
