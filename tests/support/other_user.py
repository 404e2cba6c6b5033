"""The user `nobody`, for what root is never refused."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

NOBODY = 65534


def give_away(folder: Path) -> None:
    """Make `folder` and everything in it the user's of `without_rights`."""
    if os.geteuid() == 0:
        for root, _, names in os.walk(folder):
            os.chown(root, NOBODY, NOBODY)
            for name in names:
                os.chown(Path(root, name), NOBODY, NOBODY, follow_symlinks=False)


@contextmanager
def without_rights() -> Iterator[None]:
    """For the block, this process is not root's."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)
