"""What a manifest may name, and what is refused."""

import msgspec
import pytest

from jetstream.backup import manifest as manifests
from jetstream.backup.manifest import BackupFile, BackupFolder, BackupManifest
from jetstream.errors import UserError


def text(*paths: str, folders: tuple[str, ...] = (), version: int = manifests.FORMAT) -> bytes:
    files = tuple(BackupFile(path, 1, "0" * 64, 0o644, 0) for path in paths)
    kept = tuple(BackupFolder(path, 0o755) for path in folders)
    return msgspec.json.encode(BackupManifest(version, "2026-01-31T12:00:00Z", "1.0", 1, files, kept))


@pytest.mark.parametrize(
    "path",
    [
        *("faces/Ada/1.jpg", "galleries/sface/manifest.json", "networks/mynet.onnx", "audit.jsonl", "config.toml"),
        *("sightings/looks/2026-01-31/x.jpg", "keys/allowed/a.pub", "passwords/door", "faces/a\nb/..x"),
    ],
)
def test_place_of_each_kind_is_taken(path: str) -> None:
    (file,) = manifests.parse(text(path), "b.tar").files

    assert file.path == path


@pytest.mark.parametrize(
    "path",
    [
        *("", "/etc/passwd", "faces/../../x", "faces/..", "faces//x", "faces/./x", "faces/a/", "elsewhere/x", ".."),
        *("audit.jsonl/x", "config.tomlx", "networks/a/b", "galleries/x", "galleries/../x", "passwords/../x", "faces"),
        *("faces/%2e%2e/x", "faces/a%2F..%2F..%2Fx", "faces/a%00b", "galleries/a/../b", "sightings/%2e%2e/%2e%2e/x"),
    ],
)
def test_path_without_a_place_or_out_of_its_folder_is_refused(path: str) -> None:
    with pytest.raises(UserError, match=r"^b\.tar: .*has no place here, or leaves its folder"):
        manifests.parse(text(path), "b.tar")


@pytest.mark.parametrize("paths", [("faces/a", "faces/a"), ("faces/a", "faces/a/b"), ("faces/a", "faces/%61")])
def test_two_files_of_one_name_are_refused(paths: tuple[str, ...]) -> None:
    with pytest.raises(UserError, match="names a file twice"):
        manifests.parse(text(*paths), "b.tar")


def test_folder_out_of_its_place_is_refused() -> None:
    with pytest.raises(UserError, match="leaves its folder"):
        manifests.parse(text(folders=("faces/../../x",)), "b.tar")


def test_newer_format_is_refused_whatever_else_it_says() -> None:
    with pytest.raises(UserError, match=r"b\.tar: a backup of format 2, and this jetstream reads 1"):
        manifests.parse(b'{"format": 2, "unknown": [1]}', "b.tar")


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"format": 1}', b'{"format": "x"}', b"\xff" * 9])
def test_no_manifest_is_refused(content: bytes) -> None:
    with pytest.raises(UserError, match=r"^b\.tar: damaged"):
        manifests.parse(content, "b.tar")


@pytest.mark.parametrize("path", ["Zoë/1.jpg", "100%.jpg", "%41", "J\udcf6rg.jpg", "a\nb"])
def test_name_of_any_bytes_comes_back(path: str) -> None:
    encoded = manifests.encoded(path)

    assert manifests.decoded(msgspec.json.decode(msgspec.json.encode(encoded))) == path


def test_files_that_are_for_their_owner_get_no_other_reader() -> None:
    modes = {path: BackupFile(path, 1, "", 0o644, 0).safe_mode for path in ("keys/a", "faces/a", "passwords/a")}

    assert modes == {"keys/a": 0o600, "faces/a": 0o644, "passwords/a": 0o600}
