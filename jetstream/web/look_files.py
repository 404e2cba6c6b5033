"""Pictures of faces from the folder of sightings, and nothing else from this machine."""

import os
import stat
from pathlib import Path
from typing import Final

from jetstream.sightings import database
from jetstream.web.routes import MissingError

MOST_BYTES: Final = 2_000_000


def read(folder: Path, file: str) -> bytes:
    """The bytes of a look. The name is the database's own, but may lead to nothing else than a file among the looks.

    Raises MissingError.
    """
    missing = MissingError("this picture is not there any more")
    looks = folder / database.LOOKS
    try:
        path = (folder / file).resolve(strict=True)
        if not path.is_relative_to(looks.resolve(strict=True)):
            raise missing
        with open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as opened:
            if not stat.S_ISREG(os.fstat(opened.fileno()).st_mode):
                raise missing
            return opened.read(MOST_BYTES)
    except (OSError, ValueError, RuntimeError):  # a zero byte in the name; links that lead in a circle
        raise missing from None
