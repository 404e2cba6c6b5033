"""Reads the manifest of the gallery in use for the page, and keeps small pictures of photos."""

import threading
from collections import OrderedDict, defaultdict
from collections.abc import Callable
from typing import Final, NamedTuple

from jetstream.config.schema import Config
from jetstream.errors import ModelError
from jetstream.gallery import train
from jetstream.gallery.report import PersonReport, report_of
from jetstream.gallery.store import PhotoRecord

KEPT_THUMBNAILS: Final = 300
"""some 15 kB each"""


class GalleryPeople(NamedTuple):
    """The gallery in use, as it is told."""

    reports: dict[str, PersonReport]
    records: dict[str, list[PhotoRecord]]
    strangers: int


class PeopleReader:
    """The gallery's manifest, read when it changes. For several threads."""

    def __init__(self, config: Callable[[], Config]) -> None:
        """config  gives the one in use now: a reload may change the network, and so the gallery"""
        self._config = config
        self._read: tuple[tuple[int, int], GalleryPeople] | None = None
        self._thumbnails: OrderedDict[tuple[str, int], bytes] = OrderedDict()
        self._lock = threading.Lock()

    def read_ahead(self) -> None:
        """Begin to read the manifest, which takes a while with thousands of people, before somebody asks for it."""
        threading.Thread(target=self.known, name="people", daemon=True).start()

    def known(self) -> GalleryPeople:
        """Empty where there is no gallery yet."""
        with self._lock:
            config = self._config()
            written = train.written(config)
            if self._read is None or self._read[0] != written:
                self._read = written, _newest(config)
            return self._read[1]

    def thumbnail(self, file: str, changed_ns: int) -> bytes | None:
        with self._lock:
            return self._thumbnails.get((file, changed_ns))

    def keep(self, file: str, changed_ns: int, jpeg: bytes) -> None:
        with self._lock:
            self._thumbnails[file, changed_ns] = jpeg
            while len(self._thumbnails) > KEPT_THUMBNAILS:
                self._thumbnails.popitem(last=False)


def _newest(config: Config) -> GalleryPeople:
    try:
        manifest = train.manifest(config)
    except (OSError, ModelError):
        return GalleryPeople({}, {}, 0)
    report = report_of(manifest, 0)
    records: defaultdict[str, list[PhotoRecord]] = defaultdict(list)
    for record in manifest.photos:
        records[record.person].append(record)
    strangers = 0 if report.unknown is None else report.unknown.used
    return GalleryPeople({person.name: person for person in report.people}, dict(records), strangers)
