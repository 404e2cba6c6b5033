"""Makes and restores backups of a test's site, and tells what it holds."""

import contextlib
import sqlite3
from pathlib import Path

from jetstream.backup.restore import DoneRestore, RestoreRequest, restore
from jetstream.backup.write import MadeBackup, back_up
from jetstream.config.galleries import gallery_dir
from jetstream.config.schema import Config
from jetstream.web import access
from tests.support import sites


def save(config: Config, path: Path, *, config_file: Path | None = None, replace: bool = False) -> MadeBackup:
    return back_up(config, config_file, path, lambda what, share: None, replace=replace)


def bring_back(backup: Path, config: Config, config_file: Path | None = None) -> DoneRestore:
    return restore(RestoreRequest(backup, config, config_file), lambda what, share: None, lambda manifest, there: None)


def users_of(config: Config) -> dict[str, bytes]:
    """Who may use the page, and what is stored of it but sessions."""
    with contextlib.closing(sqlite3.connect(Path(config.web.dir) / access.FILE)) as connection:
        return {
            table: str(connection.execute(f"SELECT * FROM {table}").fetchall()).encode()
            for table in ("users", "tokens")
        }


def files_of(config: Config) -> dict[str, bytes]:
    """What a site holds, by kind, wherever its folders are."""
    faces, models = Path(config.recognize.faces), Path(config.models.dir)
    folders = {"faces": faces, "sightings": Path(config.sightings.dir), "keys": Path(config.publish.keys)}
    folders["gallery"] = gallery_dir(faces, models, "sface")
    found = {f"{kind}/{name}": text for kind, path in folders.items() for name, text in sites.contents(path).items()}
    networks = {path.name: path.read_bytes() for path in models.glob("mynet.*") if "before" not in path.name}
    return {**found, **networks, "password": Path(config.cameras[0].password_file).read_bytes(), **users_of(config)}
