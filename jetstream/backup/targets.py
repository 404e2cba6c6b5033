"""Where each part of a backup goes on this machine, by the config that is in use there, and whether it may.

Changes nothing.
"""

import os
import secrets
import shlex
import time
from pathlib import Path
from typing import NamedTuple

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
    BackupManifest,
    decoded,
)
from jetstream.config.galleries import gallery_dir
from jetstream.config.schema import Config
from jetstream.errors import UserError
from jetstream.gallery import audit
from jetstream.gallery.removal import BEFORE_RESTORE, is_within
from jetstream.networks import cards

_SUFFIXES = (".background.npz", ".onnx", cards.SUFFIX)


class RestoreTarget(NamedTuple):
    """A folder or a file that is replaced as a whole."""

    target: Path  # absolute
    staged: Path
    aside: Path
    keep: bool = True  # whether what is there now is kept as `aside`: not a gallery, nor the audit log, which is merged

    @property
    def is_there(self) -> bool:
        """Whether there is something to replace: an empty folder isn't."""
        try:
            return not self.target.is_dir() or any(self.target.iterdir()) if os.path.lexists(self.target) else False
        except OSError:
            return True


class RestoreTargets:
    """The targets of a backup, by their place in the archive; `skipped` says what has none."""

    def __init__(
        self, manifest: BackupManifest, config: Config, config_file: Path | None, kept_config: Path | None = None
    ) -> None:
        self._config, self._config_file, self._kept_config = config, config_file, kept_config
        self._stamp = time.strftime("%Y%m%dT%H%M%S")
        self.skipped: list[str] = []
        self.by_place: dict[str, RestoreTarget] = {}
        refused = set()
        for path in (*(file.path for file in manifest.files), *(folder.path for folder in manifest.folders)):
            place = _place(decoded(path))
            if place in self.by_place or place in refused:
                continue
            target, why_not = self._target(place)
            if target is None:
                refused.add(place)
                self.skipped += [why_not] if why_not and why_not not in self.skipped else []
            elif all(target != other.target for other in self.by_place.values()):  # cameras may share a password file
                self.by_place[place] = self._beside(target, keep=not place.startswith((GALLERIES, AUDIT)))

    def staged(self, path: str) -> Path | None:
        """Where the file with this path in the archive is written first; None: it has no place here."""
        target = self.by_place.get(place := _place(decoded(path)))
        if target is None:
            return None
        below = decoded(path).removeprefix(place).lstrip("/")
        return target.staged / below if below else target.staged

    def check(self) -> None:
        """Raises UserError where one can't be replaced as a whole."""
        targets = [target.target for target in self.by_place.values()]
        for path in targets:
            if path.is_symlink():
                raise UserError(
                    f"{path}: is a link to {os.path.realpath(path)}, and nothing is restored through a link; nothing "
                    "was changed, name that in the config, or with --faces or --set"
                )
            if os.path.ismount(path):
                raise UserError(
                    f"{path}: a disk is mounted there, and a restore replaces whole folders; nothing was changed, "
                    "restore into another folder on that disk with --faces or --set, then move its content"
                )
        real = {os.path.realpath(path): path for path in targets}
        for inner, path in real.items():
            for outer, other in real.items():
                if inner != outer and is_within(inner, outer):
                    raise UserError(
                        f"{path}: lies in {other}, and both would be replaced; nothing was changed, name folders of "
                        "their own"
                    )

    def owners(self) -> list[str]:
        """A sentence for all that root has restored into folders of another user, who can't read it then."""
        by_owner: dict[int, list[str]] = {}
        for target in self.by_place.values() if os.geteuid() == 0 else ():
            by_owner.setdefault(target.target.parent.stat().st_uid, []).append(shlex.quote(str(target.target)))
        by_owner.pop(0, None)
        return [
            f"restored into folders of user {owner}, and root's now; run `chown -R {owner}: {' '.join(paths)}`"
            for owner, paths in by_owner.items()
        ]

    def _target(self, place: str) -> tuple[Path | None, str]:
        kind, _, name = place.partition("/")
        models, faces = Path(self._config.models.dir), self._config.recognize.faces
        if kind in (FACES, GALLERIES) and faces == "demo":
            return None, "faces: are not restored: the demo makes its own; name a folder with --faces"
        if kind == FACES:
            return Path(faces), ""
        if kind == GALLERIES:
            return gallery_dir(Path(faces), models, name), ""
        if kind == SIGHTINGS:
            return Path(self._config.sightings.dir), ""
        if kind == KEYS and not self._config.publish.keys:
            return None, "keys: are not restored: publish.keys names no folder; name one with --set publish.keys=keys"
        if kind == KEYS:
            return Path(self._config.publish.keys), ""
        if kind == PASSWORDS:
            files = [camera.password_file for camera in self._config.cameras if camera.name == name]
            path = Path(os.path.realpath(files[0])) if files and files[0] else None
            return path, f"password of camera {name}: is not restored: the config names no password_file for it"
        if kind == NETWORKS:
            _check_network(name)
            return models / name, ""
        if kind == WEB:
            return Path(self._config.web.dir) / name, ""
        if kind == AUDIT:
            return models / audit.FILE, ""
        if self._kept_config is not None:
            return None, f"config: is not restored, as {self._kept_config} is there; add --config-too to replace that"
        return self._config_file, "config: is not restored; name where with --config"

    def _beside(self, target: Path, *, keep: bool) -> RestoreTarget:
        target = Path(os.path.abspath(target))
        aside = target.with_name(f"{target.name}.{BEFORE_RESTORE}-{self._stamp}")
        if os.path.lexists(aside):
            aside = aside.with_name(f"{aside.name}-{secrets.token_hex(4)}")
        # the same name each time, so that what a killed restore left is found
        return RestoreTarget(target, target.with_name(f".{target.name}.restore"), aside, keep)


def _place(path: str) -> str:
    """The part of an archive that is replaced as a whole and that `path` is in."""
    kind, _, rest = path.partition("/")
    if kind == GALLERIES:
        return f"{GALLERIES}/{rest.partition('/')[0]}"
    return kind if kind in (FACES, SIGHTINGS, KEYS, AUDIT, CONFIG) else path


def _check_network(file: str) -> None:
    """Raises UserError for a file that no added network may have."""
    name = next((file.removesuffix(suffix) for suffix in _SUFFIXES if file.endswith(suffix)), None)
    if name is None:
        raise UserError(f"{file}: in the backup, but no file of an added network; it is no backup of ours")
    cards.check_name(name)
