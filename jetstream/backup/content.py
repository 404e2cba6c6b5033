"""What a backup holds: the files of one config, found without following a link.

Knows no archive. TensorRT engines and the networks that jetstream builds itself are left out: they are made again.
"""

import contextlib
import os
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, NoReturn

from jetstream.backup.manifest import (
    AUDIT,
    CONFIG,
    FACES,
    GALLERIES,
    KEYS,
    NETWORKS,
    PASSWORDS,
    SIGHTINGS,
    WEB,
    BackupFolder,
    encoded,
)
from jetstream.config.galleries import gallery_dir, gallery_dirs
from jetstream.config.schema import Config
from jetstream.errors import ModelError, UserError
from jetstream.gallery import audit, store
from jetstream.networks import cards
from jetstream.sightings import database
from jetstream.web import access, access_copy

CLOCK = "clock.json"
"""what the retention of sightings knows of the wall clock"""
# The notes of `change_queue`, and what alerts are due, aren't in a backup: a restored database begins a new epoch, in
# which nothing of before is told again.


class BackupItem(NamedTuple):
    """A file to be put into an archive: read from `file`, or `content` where that was read already."""

    path: str  # in the archive, encoded
    file: Path
    size: int  # now
    content: bytes | None = None


@dataclass
class BackupContent:
    """The files and folders of a backup, and what was left out, a sentence each."""

    items: list[BackupItem] = field(default_factory=list)
    folders: list[BackupFolder] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)

    def add_file(self, path: str, file: Path) -> None:
        """Add one file, if it is there. Raises UserError."""
        try:
            status = file.lstat()
        except FileNotFoundError:
            return
        except OSError as error:
            _refuse(error)
        if stat.S_ISREG(status.st_mode):
            self.items.append(BackupItem(encoded(path), file, status.st_size))
        else:
            what = "a link, and links are not followed" if stat.S_ISLNK(status.st_mode) else "no regular file"
            self.left_out.append(f"{file}: is not in the backup: it is {what}")

    def add_tree(self, path: str, folder: Path) -> None:
        """Add a folder with all that is below it, if it is there. `folder` itself may be a link. Raises UserError."""
        top = os.path.realpath(folder)
        if not os.path.isdir(top):
            self.left_out.append(f"{folder}: is not in the backup: there is no such folder")
            return
        for root, folders, names in os.walk(top, onerror=_refuse):
            place = "/".join(part for part in (path, os.path.relpath(root, top)) if part != ".")
            with _refusing():
                self.folders.append(BackupFolder(encoded(place), stat.S_IMODE(os.lstat(root).st_mode) & 0o777))
            folders.sort()
            for name in sorted((*names, *(name for name in folders if os.path.islink(os.path.join(root, name))))):
                self.add_file(f"{place}/{name}", Path(root, name))


def content_of(config: Config, config_file: Path | None, looks: Iterable[str]) -> BackupContent:
    """The files of `config`, except the database of sightings; `looks` are the pictures that it names.

    Raises UserError where something can't be read: a backup that lacks it would be believed to be whole.
    """
    found = BackupContent()
    faces, models = Path(config.recognize.faces), Path(config.models.dir)
    if config_file is not None:
        found.add_file(CONFIG, Path(os.path.realpath(config_file)))
    if config.publish.keys:
        found.add_tree(KEYS, Path(config.publish.keys))
    for camera in config.cameras:
        if camera.password_file:
            file = Path(os.path.realpath(camera.password_file))
            found.add_file(f"{PASSWORDS}/{camera.name}", file)
            if not os.path.lexists(file):
                found.left_out.append(f"{camera.password_file}: is not in the backup: there is no such file")
    for alert in config.alerts:
        if alert.secret_file:
            found.left_out.append(f"{alert.secret_file}: is not in the backup: keep alerts' secrets elsewhere, too")
    if config.mqtt.password_file:
        found.left_out.append(f"{config.mqtt.password_file}: is not in the backup: write the broker's password anew")
    if (users := access_copy.users_and_tokens(Path(config.web.dir))) is not None:
        found.items.append(BackupItem(f"{WEB}/{access.FILE}", Path(config.web.dir) / access.FILE, len(users), users))
    found.add_file(AUDIT, models / audit.FILE)
    for name in cards.names(models):
        for path in cards.files_of(name, models):
            found.add_file(f"{NETWORKS}/{path.name}", path)
    if str(faces) != "demo":
        for network, folder in galleries(faces, models).items():
            _add_gallery(found, network, folder)
        found.add_tree(FACES, faces)
    sightings = Path(config.sightings.dir)
    found.add_file(f"{SIGHTINGS}/{CLOCK}", sightings / CLOCK)
    for look in looks:
        found.add_file(f"{SIGHTINGS}/{look}", sightings / look)
    return found


def galleries(faces: Path, models: Path) -> dict[str, Path]:
    """The galleries of `faces` by the network that made them."""
    names = {}
    for folder in gallery_dirs(faces, models):
        suffix = folder.name.removeprefix(gallery_dir(faces, models, "dlib").name)
        names[suffix.removeprefix("-") or "dlib"] = folder
    return names


def used_folders(config: Config) -> list[Path]:
    """The folders whose content a backup holds, without those that are not set."""
    faces = [] if config.recognize.faces == "demo" else [config.recognize.faces]
    keys = [config.publish.keys] if config.publish.keys else []
    return [Path(folder) for folder in (*faces, *keys, config.sightings.dir)]


def database_of(config: Config) -> Path | None:
    """The database of sightings; None where there is none."""
    path = database.path_in(Path(config.sightings.dir))
    return path if os.path.isfile(path) and not os.path.islink(path) else None


def _add_gallery(found: BackupContent, network: str, folder: Path) -> None:
    """Add the version in use and the one before. Both are read now: a training may replace them at any time."""
    for version in (store.MANIFEST, store.PREVIOUS):
        for path, content in _version(folder, version).items():
            place = f"{GALLERIES}/{network}/{path.name}"
            if all(item.path != place for item in found.items):  # both may name one archive
                found.items.append(BackupItem(place, path, len(content), content))


def _version(folder: Path, version: str) -> dict[Path, bytes]:
    """The files of a version of a gallery; none where it is missing or damaged, since training makes it again."""
    for _ in range(3):
        with contextlib.suppress(OSError, ModelError):
            text = (folder / version).read_bytes()
            archive = folder / store.parse_manifest(text, folder / version).archive
            return {archive: archive.read_bytes(), folder / version: text}
    return {}


@contextlib.contextmanager
def _refusing() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        _refuse(error)


def _refuse(error: OSError) -> NoReturn:
    raise UserError(
        f"{error.filename}: can't be read ({error.strerror}), so no backup was made; make it readable, or run this as "
        "the user who runs jetstream"
    )
