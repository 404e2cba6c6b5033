"""A clip while it is written: a header and fragments, so that it can be played after a kill at any moment.

Knows no sighting and no clock.
"""

import os
from contextlib import ExitStack
from pathlib import Path

import msgspec

from jetstream import files
from jetstream.clips import clip_info
from jetstream.clips.clip_info import ClipInfo, UnfinishedClip
from jetstream.video.gop.fragment_folder import StoredFragment
from jetstream.video.gop.mp4_boxes import boxes, number_of, placed, timescales


class OpenClip:
    """A file that grows by fragments of one header. `info`: its description as it is on the disk."""

    def __init__(self, video: Path, info: ClipInfo, work: UnfinishedClip, header: bytes, newest: int) -> None:
        self.video, self.info, self.work = video, info, work
        self.newest = newest  # number of the newest fragment in it; -1: none
        self.end_ns = work.zero_ns  # where it ends, on the fragments' own time
        self._scales = timescales(header)
        self._opened = ExitStack()
        self._fd = os.open(video, os.O_RDWR | os.O_APPEND | os.O_CLOEXEC)
        self._opened.callback(os.close, self._fd)
        self._identity = files.identity(video)

    @classmethod
    def begin(cls, video: Path, info: ClipInfo, header: bytes) -> "OpenClip":
        """A new file. Raises OSError: it can't be written."""
        assert info.unfinished is not None
        for folder in (video.parent.parent, video.parent):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            clip_info.write(clip_info.info_of(video), info)
            files.create(video, header)
            return cls(video, info, info.unfinished, header, -1)
        except OSError:
            clip_info.info_of(video).unlink(missing_ok=True)
            raise

    @classmethod
    def resume(cls, video: Path, info: ClipInfo) -> "OpenClip | None":
        """One that a process left, without what is cut off at its end; None: there is nothing in it. Raises OSError."""
        if info.unfinished is None:
            return None
        header, newest, whole = _content(video)
        if not header:
            return None
        if whole < video.stat().st_size:
            os.truncate(video, whole)
        return cls(video, info, info.unfinished, header, newest)

    @property
    def is_there(self) -> bool:
        """Whether its file still has its name: `jetstream forget` may have erased it."""
        return files.identity(self.video) == self._identity

    def append(self, fragment: StoredFragment, data: bytes) -> None:
        """Add a fragment. Raises OSError: nothing is added then."""
        moved = placed(data, self._scales, by_ns=fragment.base_ns - self.work.zero_ns, number=fragment.number)
        before = os.fstat(self._fd).st_size
        try:
            view = memoryview(moved)
            while view:
                view = view[os.write(self._fd, view) :]
        except OSError:
            os.ftruncate(self._fd, before)
            raise
        self._note_gap(fragment.number)
        self.newest, self.end_ns = fragment.number, max(self.end_ns, fragment.end_ns)

    def add_sighting(self, sighting_id: str) -> None:
        """The clip is one of this sighting, too. Raises OSError."""
        if sighting_id not in self.info.sightings:
            self._tell(msgspec.structs.replace(self.info, sightings=(*self.info.sightings, sighting_id)))

    def close(self) -> None:
        """Close the file."""
        self._opened.close()

    def _note_gap(self, number: int) -> None:
        missing = number - self.newest - 1 if self.newest >= 0 else 0
        if missing:
            self._tell(msgspec.structs.replace(self.info, missing=self.info.missing + missing))

    def _tell(self, info: ClipInfo) -> None:
        clip_info.write(clip_info.info_of(self.video), info)
        self.info = info


def _content(video: Path) -> tuple[bytes, int, int]:
    """The header, the number of the newest whole fragment (-1: none), and where it ends."""
    with video.open("rb") as file:
        data = memoryview(file.read())
    header_end, newest, whole, number = 0, -1, 0, -1
    try:
        for box in boxes(data):
            if box.end > len(data):
                break
            if box.kind == b"moof":
                header_end, number = header_end or box.start, number_of(data, box)
            elif box.kind == b"mdat":
                newest, whole = number, box.end
            elif box.kind == b"moov":
                whole = box.end
    except ValueError:  # what a disk made of it
        pass
    return bytes(data[: header_end or whole]), newest, whole
