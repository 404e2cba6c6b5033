"""Writes photos into a folder of the faces folder: all or none, private to their owner, and none over another file.

Knows no face.
"""

import re
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from pathlib import Path

from jetstream import files
from jetstream.errors import UserError
from jetstream.gallery import people, photos


def write(folder: Path, stems: Sequence[str], contents: Sequence[bytes]) -> list[Path]:
    """Write each of `contents` (JPEG) as <stem>-<n>.jpg, mode 0600, into `folder`, which is made if missing, mode 0700.

    Raises UserError on failure; all photos and made folders are removed then.
    """
    written = []
    try:
        with ExitStack() as undo:
            for missing in reversed([path for path in (folder, *folder.parents) if not path.exists()]):
                if missing.is_symlink():
                    raise UserError(f"{missing}: is a link that leads nowhere; remove it. No photo was stored")
                missing.mkdir(mode=0o700)
                undo.callback(missing.rmdir)
            for stem, content in zip(stems, contents, strict=True):
                path = _created(folder, stem, content)
                undo.callback(path.unlink, missing_ok=True)
                written.append(path)
            undo.pop_all()
    except OSError as error:
        raise UserError(f"{folder}: can't be written ({error.strerror}); no photo was stored") from None
    return written


def folder_of(name: str, faces_dir: Path) -> Path:
    """The folder of this person's photos, whether or not it exists. Raises UserError for an invalid name."""
    checked = photos.check_name(name)
    exists = checked in photos.list_photos(faces_dir).people
    return people.folders_of(checked, faces_dir)[0] if exists else faces_dir / checked


def stem_of(text: str) -> str:
    """`text` as the beginning of a file name: at most 40 letters, digits, `-` and `_`, starting with neither of these,
    so that the file is not hidden and not ignored by training."""
    kept = "".join(letter if letter.isalnum() or letter in "-_" else "-" for letter in text)
    return re.sub("-{2,}", "-", kept).lstrip("-_")[:40].rstrip("-") or "photo"


def _created(folder: Path, stem: str, content: bytes) -> Path:
    while True:
        path = _free(folder, stem)
        with suppress(FileExistsError):  # another process took that name
            files.create(path, content)
            return path


def _free(folder: Path, stem: str) -> Path:
    number = 1
    while (path := folder / f"{stem}-{number}.jpg").exists() or path.is_symlink():
        number += 1
    return path
