"""Paths as users write them: `~` and `${NAME}` stand for a home folder and for an environment variable.

Opens nothing.
"""

import os
import re
from collections.abc import Mapping

import msgspec

from jetstream.config.schema import Config
from jetstream.errors import UserError
from jetstream.files import is_there
from jetstream.visible import trimmed, visible

KEYS = (
    *(("pipeline", "run_dir"), ("models", "dir"), ("recognize", "faces"), ("record", "dir"), ("publish", "keys")),
    *(("gpu", "engines_dir"), ("sightings", "dir"), ("web", "dir"), ("web", "cert"), ("web", "key")),
    *(("mqtt", "password_file"), ("mqtt", "ca"), ("mqtt", "cert"), ("mqtt", "key")),
)
"""Tables and keys whose value is a path; so are a camera's source and its password_file, and an
alert's secret_file and ca_file."""
_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_BARE = re.compile(r"\$([A-Za-z_][A-Za-z0-9_]*)(?=/|\Z)")


def expanded(text: str, where: str, environment: Mapping[str, str] = os.environ) -> str:
    """`text` with a leading `~` or `~user`, and each `${NAME}`, replaced. A file that is named so is left alone.

    `where` begins the error. Raises UserError: a variable isn't set, or there is no such user.
    """
    text = trimmed(text)
    if not text.startswith("~") and ("$" not in text or is_there(text)):
        return text

    def value(found: re.Match[str]) -> str:
        if not environment.get(found[1]):
            raise UserError(f"{where}: {text}: ${{{found[1]}}} isn't set in the environment; set it, or write the path")
        return environment[found[1]]

    if bare := _BARE.match(text):
        raise UserError(f"{where}: {text}: write ${{{bare[1]}}} with braces, or ./{text} for a path of that name")
    path = _VARIABLE.sub(value, text)
    if not path.startswith("~"):
        return path
    whole = os.path.join(environment["HOME"], path[2:]) if _is_own(path, environment) else os.path.expanduser(path)
    if whole.startswith("~") and not is_there(text):
        raise UserError(f"{where}: {text}: there is no such user; write the path in full, or ./{text}")
    return whole.rstrip("/") or "/"


def with_paths(config: Config, where: str) -> Config:
    """`config` with every path in it expanded. Raises UserError."""
    for table, name in KEYS:
        values = getattr(config, table)
        path = expanded(getattr(values, name), f"{where}: {table}.{name}")
        if path != getattr(values, name):
            config = msgspec.structs.replace(config, **{table: msgspec.structs.replace(values, **{name: path})})
    endpoint = config.publish.endpoint
    if endpoint.startswith("ipc://"):
        endpoint = f"ipc://{expanded(endpoint.removeprefix('ipc://'), f'{where}: publish.endpoint')}"
        config = msgspec.structs.replace(config, publish=msgspec.structs.replace(config.publish, endpoint=endpoint))
    cameras = tuple(
        msgspec.structs.replace(
            camera,
            source=source_path(camera.source, f"{where}: {camera.name}: source"),
            password_file=expanded(camera.password_file, f"{where}: {camera.name}: password_file"),
        )
        for camera in config.cameras
    )
    alerts = tuple(
        msgspec.structs.replace(
            alert,
            secret_file=expanded(alert.secret_file, f"{where}: alerts.{alert.name}.secret_file"),
            ca_file=expanded(alert.ca_file, f"{where}: alerts.{alert.name}.ca_file"),
        )
        for alert in config.alerts
    )
    return msgspec.structs.replace(config, cameras=cameras, alerts=alerts)


def source_path(spec: str, where: str) -> str:
    """A source, expanded if it is a path: in an address `${NAME}` is a password, inserted when it is opened."""
    spec = trimmed(spec)
    is_path = "://" not in spec and not spec.startswith("gst:") and "@" not in spec
    return expanded(spec, where) if is_path else visible(spec) if "://" in spec else spec


def refuse_home(tree: object, where: str) -> None:
    """Raise UserError for a value of a config that starts with `~`: another user runs what it is for."""
    for value in tree.values() if isinstance(tree, dict) else tree if isinstance(tree, list) else ():
        if isinstance(value, str) and value.startswith("~"):
            raise UserError(f"{where}: {value}: ~ would be the home of the service's user; write the path in full")
        refuse_home(value, where)


def _is_own(path: str, environment: Mapping[str, str]) -> bool:
    return (path == "~" or path.startswith("~/")) and bool(environment.get("HOME"))


def absolute(config: Config, folder: str) -> Config:
    """`config` with every folder that it names relative to `folder`."""

    def path(text: str) -> str:
        return os.path.join(folder, text) if text else text

    faces = config.recognize.faces
    return msgspec.structs.replace(
        config,
        models=msgspec.structs.replace(config.models, dir=path(config.models.dir)),
        recognize=msgspec.structs.replace(config.recognize, faces=faces if faces == "demo" else path(faces)),
        record=msgspec.structs.replace(config.record, dir=path(config.record.dir)),
        publish=msgspec.structs.replace(config.publish, keys=path(config.publish.keys)),
        sightings=msgspec.structs.replace(config.sightings, dir=path(config.sightings.dir)),
        web=msgspec.structs.replace(config.web, dir=path(config.web.dir)),
        gpu=msgspec.structs.replace(config.gpu, engines_dir=path(config.gpu.engines_dir)),
    )
