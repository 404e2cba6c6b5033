"""Commands and exit codes: 0 success, 1 a failure at run time, 2 wrong usage or config, 128 + n ended by signal n.

This room reads options and prints results. The other rooms do the work.
"""

import contextlib
import errno
import io
import os
import signal
import sys
from types import FrameType
from typing import Annotated

import typer

from jetstream import __version__
from jetstream.cli import (
    alerts,
    backup,
    clips,
    corrections,
    keys,
    machine,
    models,
    people,
    pictures,
    pipeline,
    service,
    sightings,
    strangers,
    web,
)
from jetstream.cli.shared import app
from jetstream.errors import JetstreamError
from jetstream.logs import log_end, mask_tracebacks
from jetstream.runtime import signals

__all__ = [
    "alerts",
    "app",
    "backup",
    "clips",
    "corrections",
    "keys",
    "machine",
    "main",
    "models",
    "people",
    "pictures",
    "pipeline",
    "service",
    "sightings",
    "strangers",
    "web",
]

_IN_HELP = (
    pipeline,
    people,
    sightings,
    clips,
    strangers,
    corrections,
    pictures,
    models,
    backup,
    web,
    keys,
    machine,
    service,
)
"""the order in which `jetstream --help` lists the commands of each module: what runs comes first"""
app.registered_commands.sort(
    key=lambda info: [module.__name__ for module in _IN_HELP].index(getattr(info.callback, "__module__", ""))
)

NO_LIBGL = (
    "opencv-python is installed over opencv-python-headless and needs libGL, which this machine doesn't have; run "
    "`pip uninstall -y opencv-python && pip install --force-reinstall --no-deps opencv-python-headless`"
)


def _version(wanted: bool) -> None:
    if wanted:
        print(f"jetstream {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None: ...


def _end(signum: int, frame: FrameType | None) -> None:
    """Raise SystemExit, so that files are closed and shared memory is removed, during start-up and clean-up too."""
    sys.exit(128 + signum)


def _take_any_streams() -> None:
    """Names in letters that the terminal's encoding lacks are printed with escapes; a closed input is an empty one."""
    for stream in (sys.stdout, sys.stderr):
        if not isinstance(stream, io.TextIOWrapper):
            continue
        if stream.errors == "strict" or stream.encoding != "utf-8":
            stream.reconfigure(errors="backslashreplace")
    if sys.stdin is None:
        sys.stdin = open(os.devnull)  # noqa: SIM115


def main() -> None:
    """The entry point. Prints every failure that a user can mend as one sentence on standard error."""
    # OpenBLAS's idle threads sleep after 2^4 clock cycles instead of 2^26, which costs 0.1 s of processor at start-up
    os.environ.setdefault("OPENBLAS_THREAD_TIMEOUT", "4")
    mask_tracebacks()
    _take_any_streams()
    for signum in (signal.SIGTERM, *signals.hang_up()):
        signal.signal(signum, _end)
    try:
        try:
            app()
        finally:
            if sys.stdout is not None:
                sys.stdout.flush()
    except JetstreamError as error:
        log_end(str(error))
        sys.exit(error.exit_code)
    except UnicodeEncodeError as error:
        log_end(f"{error.object!a}: can't be a file's name in this locale ({error.encoding}); set LANG=C.UTF-8")
        sys.exit(1)
    except OSError as error:
        if error.filename is not None or error.errno not in (errno.ENOSPC, errno.EIO, errno.EBADF, errno.EPIPE):
            raise
        if error.errno != errno.EPIPE:  # its reader has enough
            log_end(f"standard output: {error.strerror}; print to a terminal, or into a file on a disk with room")
        with contextlib.suppress(OSError):  # else Python tries to write the rest, and complains
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        sys.exit(1)
    except SystemExit as end:
        if not isinstance(end.code, str):
            raise
        log_end(end.code)
        sys.exit(1)
    except ImportError as error:
        if "libGL" not in str(error):
            raise
        print(f"jetstream: {NO_LIBGL}", file=sys.stderr)
        sys.exit(1)
