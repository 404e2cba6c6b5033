"""A site that knows people and has seen them: everything that a backup holds, written by jetstream's own writers."""

import contextlib
import hashlib
import secrets
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from jetstream.config.galleries import gallery_dir
from jetstream.config.load import build
from jetstream.config.schema import Config
from jetstream.gallery import audit, store
from jetstream.networks import cards
from jetstream.sightings import database, ids, looks
from jetstream.sightings.writer import OpenSighting, SightingQueue
from jetstream.topic import keys
from jetstream.web.access import AccessStore
from tests.support.photos import write_photo

PASSWORD, USER = "correct horse", "ada"
NETWORK = b"an added network"


def config_of(folder: Path) -> Config:
    """A config whose folders are all in `folder`."""
    return build(
        {
            "pipeline": {"run_dir": str(folder / "run")},
            "models": {"dir": str(folder / "models")},
            "recognize": {"faces": str(folder / "faces")},
            "sightings": {"dir": str(folder / "sightings")},
            "publish": {"keys": str(folder / "keys")},
            "web": {"dir": str(folder / "web")},
            "cameras": [{"name": "door", "source": "rtsp://u@192.0.2.1/", "password_file": str(folder / "door.pw")}],
        },
        where="test",
    )


def make(folder: Path, portraits: Mapping[str, np.ndarray]) -> Config:
    """Fill `folder`; its config."""
    config = config_of(folder)
    models = folder / "models"
    models.mkdir(parents=True)
    for name, image in portraits.items():
        write_photo(folder / "faces" / name / "1.jpg", image)
    (folder / "faces" / "Nobody Yet").mkdir(mode=0o750)
    store_gallery(config, seed=1)
    add_network(models)
    audit.add(models, "enroll", "Grace Hopper", 1)
    keys.new(folder / "keys" / keys.PUBLISHER, "publisher")
    (folder / "door.pw").write_text(PASSWORD)
    (folder / "door.pw").chmod(0o600)
    add_users(config)
    record(config, "Grace Hopper", looks_of=portraits["Grace Hopper"])
    return config


def store_gallery(config: Config, seed: int) -> Path:
    """A gallery of the config's faces with other numbers for each `seed`."""
    folder = gallery_dir(Path(config.recognize.faces), Path(config.models.dir), "sface")
    arrays = {"embeddings": np.random.default_rng(seed).normal(size=(2, 128)).astype(np.float32)}
    with store.locked(folder):
        store.write(folder, store.Manifest(store.FORMAT, 1, "0" * 64, {"Grace Hopper": 1}, (), (), ()), arrays)
    return folder


def add_users(config: Config) -> None:
    """A user who is logged in, and a token."""
    with contextlib.closing(AccessStore(Path(config.web.dir))) as access:
        access.add_user(USER, PASSWORD, "rule")
        access.add_token("door", "look")
        assert access.log_in(USER, access.password_of(USER) or "", "127.0.0.1", "a browser")


def add_network(models: Path) -> None:
    files = cards.files_of("mynet", models)
    files.onnx.write_bytes(NETWORK)
    files.card.write_bytes(cards.to_toml(cards.ModelCard(sha256=hashlib.sha256(NETWORK).hexdigest())))


def record(config: Config, name: str, *, looks_of: np.ndarray | None = None) -> str:
    """Record an ended sighting, with a look if there is a picture; its id."""
    folder, now_ns = Path(config.sightings.dir), time.time_ns()
    sighting = OpenSighting(
        ids.encoded(now_ns // 10**6, secrets.randbits(80)),
        "door",
        "hall",
        name,
        now_ns - 10**9,
        now_ns,
        0.0,
        1.0,
        state="ended",
    )
    queue = SightingQueue()
    queue.put(sighting, "exit")
    with database.opened(folder, write=True) as connection:
        queue.write(connection)
        if looks_of is not None:
            file = f"{database.LOOKS}/2026-01-31/{sighting.id}-0.jpg"
            jpeg = np.ascontiguousarray(looks_of[:40, :40]).tobytes()
            looks.write(folder, file, jpeg)
            connection.execute(
                "INSERT INTO looks (sighting, file, taken_ns, quality, turned, landmarks, bytes) "
                "SELECT n, ?, ?, 0.5, 0.0, '[]', ? FROM sightings WHERE id = ?",
                (file, now_ns, len(jpeg), sighting.id),
            )
    return sighting.id


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below `folder` but locks, by its path; of a database, its rows."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not path.name.endswith(("lock", "-wal", "-shm")):
            found[str(path.relative_to(folder))] = rows(path) if path.name == database.FILE else path.read_bytes()
    return found


def rows(path: Path) -> bytes:
    """All of a database but the number of its epoch."""
    with database.opened(path.parent) as connection:
        dump = [line for line in connection.iterdump() if "'epoch'" not in line]
    return "\n".join(dump).encode()
