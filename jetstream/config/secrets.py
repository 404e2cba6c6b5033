"""Passwords in addresses of cameras and of the MQTT broker, inserted when one is opened, from the environment or from
a file.

Until then an address has `${NAME}` or no password, and so have the run directory, logs and messages. Opens no camera.
"""

import contextlib
import os
import re
import urllib.parse
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from jetstream.config.schema import CameraConfig, Config, MqttConfig
from jetstream.errors import UserError
from jetstream.files import check_private
from jetstream.known_secrets import KNOWN
from jetstream.masking import PIPELINE, holds_password, learn, masked_source

VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
LARGEST_BYTES = 4096
"""that are read of a password file"""
OF_CAMERA, OF_BROKER = "source rtsp://user@192.0.2.10/stream1", "broker mqtts://user@192.0.2.10:8883"
"""what has the password's user, and how it looks"""


def address(camera: CameraConfig, environment: Mapping[str, str] = os.environ) -> str:
    """The camera's source with its secrets. Raises UserError: a variable isn't set, or the password file can't be read
    or isn't private."""
    spec = expanded(camera.source, camera.name, environment)
    spec = with_password(spec, camera.password_file, camera.name, OF_CAMERA) if camera.password_file else spec
    learn(spec)
    return spec


def broker(settings: MqttConfig, environment: Mapping[str, str] = os.environ) -> str:
    """The broker's address with its secrets. Raises UserError as `address`."""
    spec = expanded(settings.broker, "mqtt.broker", environment)
    spec = with_password(spec, settings.password_file, "mqtt", OF_BROKER) if settings.password_file else spec
    learn(spec)
    return spec


def addresses(config: Config) -> list[str]:
    """What may hold a password in a config."""
    return [*(camera.source for camera in config.cameras), *filter(None, [config.mqtt.broker])]


def know(config: Config, environment: Mapping[str, str] = os.environ) -> None:
    """Hide from now on, in all that this process logs, the secrets in its addresses and in the variables they name."""
    for spec in addresses(config):
        learn(spec)
        for name in VARIABLE.findall(spec):
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


def with_password(spec: str, file: str, who: str, example: str) -> str:
    """`spec` with the password in `file`. `who` begins the error. Raises UserError: `spec` has no user, or has a
    password."""
    scheme, mark, rest = spec.partition("://")
    user, at, host = rest.partition("@")
    if not is_address(spec) or not at or not user or ":" in user or "/" in user:
        raise UserError(
            f"{who}: password_file: the {example.partition(' ')[0]} must be an address with a user and without a "
            f"password, such as {example.partition(' ')[2]}"
        )
    password = urllib.parse.quote(read(Path(file), who), safe="")
    return f"{scheme}{mark}{user}:{password}@{host}"


def read(path: Path, who: str, key: str = "password_file") -> str:
    """The first line of a file with a secret, which the config names as `key`.

    Raises UserError, whose text has nothing of the file's content.
    """
    try:
        with path.open("rb") as file:
            check_private(path, os.fstat(file.fileno()))
            content = file.read(LARGEST_BYTES)
    except OSError as error:
        raise UserError(f"{who}: {key}: {path}: {error.strerror}; name a file with the secret in it") from None
    if content.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\0" in content:
        raise UserError(f"{who}: {key}: {path}: is UTF-16 or no text; save it as UTF-8")
    with contextlib.suppress(UnicodeDecodeError):
        if password := re.split(b"[\r\n]", content, maxsplit=1)[0].decode("utf-8-sig"):
            KNOWN.add(password)
            return password
    raise UserError(f"{who}: {key}: {path}: its first line is empty or isn't UTF-8; write the secret there")


def is_address(spec: str) -> bool:
    """False for GStreamer pipelines: `ps` shows their arguments to every user, so no secret is inserted."""
    return "://" in spec and not spec.startswith("gst:")


def seen_by_others(path: Path, arguments: Sequence[str], config: Config) -> Iterator[str]:
    """A warning for each password that other users see: on the command line, in a pipeline, or in the config file."""
    for spec in filter(holds_password, arguments):
        yield (
            f"--source {masked_source(spec)}: every user of this machine can see the password in it; write it as "
            "'${NAME}' (in single quotes) and set NAME in the environment"
        )
    for camera in config.cameras:
        if camera.source.startswith(PIPELINE) and holds_password(camera.source):
            yield (
                f"{camera.name}: every user of this machine can see the pipeline's password in `ps`; use the camera's "
                "address as source, or mount /proc with hidepid=2"
            )
    with contextlib.suppress(OSError):
        written = addresses(config) if not arguments else [config.mqtt.broker]
        if any(map(holds_password, written)) and path.stat().st_mode & 0o007:
            yield (
                f"{path}: holds a password and others can read it; run `chmod 600 {path}`, or write the password "
                "as ${NAME} and set NAME in the environment"
            )
