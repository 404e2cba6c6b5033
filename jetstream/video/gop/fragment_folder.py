"""The newest seconds of one camera as fragments of MP4 in shared memory: one writer, many readers, no locks.

A fragment is a file, and so is the header of the streams that it is of; both are there whole or not at all. Knows no
codec and no clock.

To write a fragment, the writer
 1. writes its header to a hidden file and renames it to `<digest>.init.mp4`, unless that is there;
 2. writes the fragment to a hidden file and renames it to its name, which says all that is known of it: number, times,
    header, whether it begins with a key frame. Numbers only grow, also over a writer that was killed: the next one
    counts on from the names that it finds, and removes hidden files;
 3. removes the oldest fragments that nobody needs (`FragmentFolder.trim`), and headers without a fragment.
To read, a reader
 4. lists the names and sorts them by number;
 5. opens a fragment and its header. One that was removed meanwhile is gone: the reader goes on with the next one, and
    sees the gap in the numbers.

A writer whose fragments are the camera's from now on leaves the file CLAIM before the first of them; one that has none
of it removes that, and all fragments, which are of another source (`claim`, `clear`). A killed writer's claim stays.

The header is always there as long as a fragment of it is, since 1 comes before 2, and 3 removes fragments first.
"""

import contextlib
import hashlib
import os
import re
from pathlib import Path
from typing import Final, NamedTuple

from jetstream.video.gop.fragment_output import MuxedFragment

_NAME: Final = re.compile(r"(\d{12})-(\d+)-(\d+)-(\d+)-(\d+)-(\d+)-([0-9a-f]{16})-([kp])\.m4s")
_HEADER_SUFFIX: Final = ".init.mp4"
CLAIM: Final = "claimed"


class StoredFragment(NamedTuple):
    """What a fragment's name says. Times are CLOCK_MONOTONIC."""

    number: int
    base_ns: int  # the zero of the times within
    begin_ns: int  # when its first packet is decoded, on the time of its camera, which goes on over connections
    end_ns: int
    first_ns: int  # when its first packet arrived
    last_ns: int
    header: str  # digest of it
    is_key: bool  # it begins with a key frame

    @property
    def file_name(self) -> str:
        numbers = "-".join(map(str, self[1:6]))
        return f"{self.number:012d}-{numbers}-{self.header}-{'k' if self.is_key else 'p'}.m4s"

    def read(self, folder: Path) -> tuple[bytes, bytes] | None:
        """The header and the fragment; None: it is gone."""
        try:
            return (folder / f"{self.header}{_HEADER_SUFFIX}").read_bytes(), (folder / self.file_name).read_bytes()
        except FileNotFoundError:
            return None


def fragments_in(folder: Path) -> list[StoredFragment]:
    """The fragments that are there now, the oldest first; none where there is no folder."""
    with contextlib.suppress(FileNotFoundError):
        return sorted(filter(None, map(_named, os.listdir(folder))))
    return []


def is_claimed(folder: Path) -> bool:
    """Whether what is written there are the camera's fragments now."""
    return (folder / CLAIM).exists()


class FragmentFolder:
    """Where one writer puts a camera's fragments.

    keep_ns      for how long before the newest one there must be a key frame
    most_bytes   the oldest are removed beyond that, whatever keep_ns says
    """

    def __init__(self, folder: Path, *, keep_ns: int, most_bytes: int) -> None:
        self._folder, self._keep_ns, self._most_bytes = folder, keep_ns, most_bytes
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for hidden in folder.glob(".*"):
            hidden.unlink(missing_ok=True)
        self._kept = [(one, _size(folder / one.file_name)) for one in fragments_in(folder)]
        self._number = self._kept[-1][0].number + 1 if self._kept else 0

    @property
    def end_ns(self) -> int:
        """Where the camera's time stands: what comes later may not be before it."""
        return max((one.end_ns for one, _ in self._kept), default=0)

    def write(self, header: bytes, fragment: MuxedFragment, *, base_ns: int) -> StoredFragment:
        """Add a fragment of a connection whose times begin at `base_ns`. Raises OSError: nothing is added then."""
        digest = hashlib.sha256(header).hexdigest()[:16]
        self._put(f"{digest}{_HEADER_SUFFIX}", header, again=False)
        stored = StoredFragment(
            self._number,
            base_ns,
            base_ns + fragment.begin_ns,
            base_ns + fragment.end_ns,
            fragment.first_ns,
            fragment.last_ns,
            digest,
            fragment.is_key,
        )
        self._put(stored.file_name, fragment.data, again=True)
        self._number += 1
        self._kept.append((stored, len(fragment.data)))
        self.trim()
        return stored

    def claim(self) -> None:
        """Say that what comes are the camera's fragments. Raises OSError."""
        os.close(os.open(self._folder / CLAIM, os.O_WRONLY | os.O_CREAT, 0o600))

    def clear(self) -> None:
        """Say that there is nothing to come, and remove what is there. Raises OSError."""
        (self._folder / CLAIM).unlink(missing_ok=True)
        self.empty()

    def empty(self) -> None:
        """Remove what is there; more may come. Raises OSError."""
        self._remove(len(self._kept))

    def trim(self) -> None:
        """Remove the fragments before the last key frame that is old enough, and beyond the bytes."""
        wanted_ns = self._kept[-1][0].last_ns - self._keep_ns
        keys = [place for place, (one, _) in enumerate(self._kept) if one.is_key and one.first_ns <= wanted_ns]
        gone = keys[-1] if keys else 0
        total = sum(size for _, size in self._kept[gone:])
        while total > self._most_bytes and gone < len(self._kept) - 1:
            total -= self._kept[gone][1]
            gone += 1
        self._remove(gone)

    def _remove(self, count: int) -> None:
        """Remove the oldest, and the headers that no other has."""
        for one, _ in self._kept[:count]:
            (self._folder / one.file_name).unlink(missing_ok=True)
        headers = {one.header for one, _ in self._kept[:count]}
        del self._kept[:count]
        for header in headers - {one.header for one, _ in self._kept}:
            (self._folder / f"{header}{_HEADER_SUFFIX}").unlink(missing_ok=True)

    def _put(self, name: str, data: bytes, *, again: bool) -> None:
        path = self._folder / name
        if not again and path.exists():
            return
        partial = self._folder / f".{name}"
        try:
            with open(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
                file.write(data)
            os.rename(partial, path)
        except OSError:
            partial.unlink(missing_ok=True)
            raise


def _named(name: str) -> StoredFragment | None:
    found = _NAME.fullmatch(name)
    if found is None:
        return None
    number, base_ns, begin_ns, end_ns, first_ns, last_ns = map(int, found.groups()[:6])
    return StoredFragment(number, base_ns, begin_ns, end_ns, first_ns, last_ns, found[7], found[8] == "k")


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
