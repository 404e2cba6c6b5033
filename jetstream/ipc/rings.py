"""The frame rings of several cameras, by camera name.

Knows no messages and no stages.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import TYPE_CHECKING, Protocol

from jetstream.ipc.frames import FrameView, GpuFrameView
from jetstream.ipc.local import LocalRing
from jetstream.ipc.ring import Ring
from jetstream.ipc.segment import SHARED_MEMORY

if TYPE_CHECKING:  # processes that touch no pixel start without numpy
    import numpy as np
    from numpy.typing import NDArray


class FrameReader(Protocol):
    """The part of `Rings` that a stage needs that only reads frames."""

    def read(self, camera: str, frame_id: int, out: NDArray[np.uint8] | None = None) -> NDArray[np.uint8] | None:
        """As `Rings.read`."""
        ...

    def view(self, camera: str, frame_id: int) -> FrameView | None:
        """As `Rings.view`."""
        ...

    def view_on(self, camera: str, frame_id: int, gpu: int | None) -> FrameView | GpuFrameView | None:
        """As `Rings.view_on`."""
        ...


class Rings(Mapping[str, Ring | LocalRing]):
    """A mapping of camera name to ring; a context manager that closes all rings. `packets`: the name of the segment of
    the packet ring, of cameras that have one; who needs it opens it."""

    def __init__(
        self, rings: Mapping[str, Ring | LocalRing], packets: Mapping[str, str] = MappingProxyType({})
    ) -> None:
        self._rings = dict(rings)
        self.packets = dict(packets)

    @classmethod
    def attach_all(
        cls,
        names: Mapping[str, str],
        packets: Mapping[str, str] = MappingProxyType({}),
        *,
        directory: Path = SHARED_MEMORY,
    ) -> Rings:
        """Open each camera's ring; `names` maps a camera to its segment's name.

        Raises RingError if one can't be opened; the others are closed then.
        """
        with ExitStack() as undo:
            rings = {}
            for camera, name in names.items():
                rings[camera] = undo.enter_context(Ring.attach(name, directory=directory))
            undo.pop_all()
        return cls(rings, packets)

    def read(self, camera: str, frame_id: int, out: NDArray[np.uint8] | None = None) -> NDArray[np.uint8] | None:
        """A private copy of the frame, (H, W, 3) uint8 BGR, in the memory of `out` if given.

        None when the frame was overwritten or isn't written yet. Raises KeyError for a camera without a ring.
        """
        return self._rings[camera].read(frame_id, out)

    def view(self, camera: str, frame_id: int) -> FrameView | None:
        """The frame in place, to be checked with `still_valid` after use; None when overwritten or not written yet.

        Raises KeyError for a camera without a ring.
        """
        return self._rings[camera].view(frame_id)

    def view_on(self, camera: str, frame_id: int, gpu: int | None) -> FrameView | GpuFrameView | None:
        """As `view`, but a frame that is on the GPU with this number is left there. None: no GPU."""
        return self._rings[camera].view_on(frame_id, gpu)

    def close(self) -> None:
        """Close every ring."""
        for ring in self._rings.values():
            ring.close()

    def __getitem__(self, camera: str) -> Ring | LocalRing:
        return self._rings[camera]

    def __iter__(self) -> Iterator[str]:
        return iter(self._rings)

    def __len__(self) -> int:
        return len(self._rings)

    def __enter__(self) -> Rings:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
