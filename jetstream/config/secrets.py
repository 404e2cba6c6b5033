"""Passwords in camera addresses, inserted when a camera is opened, from the environment or from a file.

Until then an address has `${NAME}` or no password, and so have the run directory, logs and messages. Opens no camera.
"""

import contextlib
import os
import re
import urllib.parse
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from jetstream.config.schema import CameraConfig
from jetstream.errors import UserError
from jetstream.files import check_private
from jetstream.known_secrets import KNOWN
from jetstream.masking import PIPELINE, holds_password, learn, masked_source

VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
LARGEST_BYTES = 4096
"""that are read of a password file"""


def address(camera: CameraConfig, environment: Mapping[str, str] = os.environ) -> str:
    """The camera's source with its secrets. Raises UserError: a variable isn't set, or the password file can't be read
    or isn't private."""
    spec = expanded(camera.source, camera.name, environment)
    spec = with_password(spec, camera) if camera.password_file else spec
    learn(spec)
    return spec


def know(cameras: Sequence[CameraConfig], environment: Mapping[str, str] = os.environ) -> None:
    """Hide from now on, in all that this process logs, the secrets in these sources and in the variables they name."""
    for camera in cameras:
        learn(camera.source)
        for name in VARIABLE.findall(camera.source):
            KNOWN.add(environment.get(name, ""))


def expanded(spec: str, who: str, environment: Mapping[str, str] = os.environ) -> str:
    """`spec` with each `${NAME}` replaced by the environment variable, percent-encoded, if `spec` is an address.

    `who` begins the error. Raises UserError: a variable isn't set.
    """
    if not is_address(spec):
        return spec

    def value(found: re.Match[str]) -> str:
        if not environment.get(found[1]):
            raise UserError(
                f"{who}: ${{{found[1]}}} isn't set in the environment; set it, or name a file with password_file"
            )
        KNOWN.add(environment[found[1]])
        return urllib.parse.quote(environment[found[1]], safe="")

    return VARIABLE.sub(value, spec)


def with_password(spec: str, camera: CameraConfig) -> str:
    """`spec` with the password of `camera.password_file`. Raises UserError: `spec` has no user, or has a password."""
    scheme, mark, rest = spec.partition("://")
    user, at, host = rest.partition("@")
    if not is_address(spec) or not at or not user or ":" in user or "/" in user:
        raise UserError(
            f"{camera.name}: password_file: the source must be an address with a user and without a password, such as "
            "rtsp://user@192.0.2.10/stream1"
        )
    password = urllib.parse.quote(read(Path(camera.password_file), camera.name), safe="")
    return f"{scheme}{mark}{user}:{password}@{host}"


def read(path: Path, who: str) -> str:
    """The first line of a password file. Raises UserError, whose text has nothing of the file's content."""
    try:
        with path.open("rb") as file:
            check_private(path, os.fstat(file.fileno()))
            content = file.read(LARGEST_BYTES)
    except OSError as error:
        raise UserError(
            f"{who}: password_file: {path}: {error.strerror}; name a file with the password in it"
        ) from None
    if content.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\0" in content:
        raise UserError(f"{who}: password_file: {path}: is UTF-16 or no text; save it as UTF-8")
    with contextlib.suppress(UnicodeDecodeError):
        if password := re.split(b"[\r\n]", content, maxsplit=1)[0].decode("utf-8-sig"):
            KNOWN.add(password)
            return password
    raise UserError(f"{who}: password_file: {path}: its first line is empty or isn't UTF-8; write the password there")


def is_address(spec: str) -> bool:
    """False for GStreamer pipelines: `ps` shows their arguments to every user, so no secret is inserted."""
    return "://" in spec and not spec.startswith("gst:")


def seen_by_others(config: Path, arguments: Sequence[str], cameras: Sequence[CameraConfig]) -> Iterator[str]:
    """A warning for each password that other users see: on the command line, in a pipeline, or in the config file."""
    for spec in filter(holds_password, arguments):
        yield (
            f"--source {masked_source(spec)}: every user of this machine can see the password in it; write it as "
            "'${NAME}' (in single quotes) and set NAME in the environment"
        )
    for camera in cameras:
        if camera.source.startswith(PIPELINE) and holds_password(camera.source):
            yield (
                f"{camera.name}: every user of this machine can see the pipeline's password in `ps`; use the camera's "
                "address as source, or mount /proc with hidepid=2"
            )
    with contextlib.suppress(OSError):
        if not arguments and any(holds_password(camera.source) for camera in cameras) and config.stat().st_mode & 0o007:
            yield (
                f"{config}: holds a password and others can read it; run `chmod 600 {config}`, or write the password "
                "as ${NAME} and set NAME in the environment"
            )
