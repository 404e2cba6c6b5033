"""A disk that takes no file modes, as FAT, NTFS and CIFS: a library that processes under test load."""

import shutil
import subprocess
from pathlib import Path

import pytest


def environment(library: Path, disk: Path, *, quiet: bool = False) -> dict[str, str]:
    """What a process needs so that `disk` takes no modes; `quiet`: chmod is ignored instead of refused.

    The library is compiled to `library`; the test is skipped where there is no C compiler.
    """
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        pytest.skip("needs a C compiler")
    source = Path(__file__).with_name("no_modes.c")
    subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", str(library), str(source)], check=True)
    return {"LD_PRELOAD": str(library), "NO_MODES": str(disk), **({"NO_MODES_QUIET": "1"} if quiet else {})}
