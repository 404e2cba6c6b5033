"""What a run was told and what it says: its config, with where each key came from, and its newest log lines."""

import json
from collections.abc import Iterator, Mapping
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from jetstream.config.alert_checks import masked_alert
from jetstream.config.schema import PRESETS, AlertConfig, Config
from jetstream.masking import masked, masked_source
from jetstream.meanings import meanings
from jetstream.newest_lines import Level, LogLine
from jetstream.runtime.reload import RELOADED
from jetstream.web.access import Caller
from jetstream.web.routes import Nothing, Route
from jetstream.web.site import Site

MOST_LINES: Final = 500
DEFAULT: Final = "default"

BY_PRESET: Final = {f"detect.{name}" for keys in PRESETS.values() for name in keys}


class LinesWanted(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which log lines."""

    level: Level = "info"
    """this one and those above it"""
    most: Annotated[int, Meta(ge=1, le=MOST_LINES)] = 200
    """the newest so many"""


class ConfigKey(msgspec.Struct, frozen=True):
    """A key of the config in effect."""

    table: str
    """`detect`, or `cameras.NAME`, `alerts.NAME`"""
    key: str
    value: str
    """as JSON; a camera's source without its password"""
    origin: str
    """`default`; `file`; `--set`; `command line`: another option; `detect.preset`; `decided at the start`, such as the
    backend of `auto`; `file, reloaded`. After it, the variables of the environment that stand in the value"""
    meaning: str


def log_lines(site: Site, wanted: LinesWanted, _: Caller) -> list[LogLine]:
    """The newest log lines of the run, the newest first."""
    return site.run_dir.lines.read(wanted.level, wanted.most)


def config_keys(site: Site, _: Nothing, __: Caller) -> list[ConfigKey]:
    """The config in effect, with where each key came from."""
    return list(_keys(site.effective_config(), site.run_dir.read_origins()))


def _keys(config: Config, origins: Mapping[str, str]) -> Iterator[ConfigKey]:
    for table in config.__struct_fields__:
        values = getattr(config, table)
        if isinstance(values, msgspec.Struct):
            yield from _keys_of(table, values, origins)
        else:
            for one in values:
                shown = masked_alert(one) if isinstance(one, AlertConfig) else one
                yield from _keys_of(f"{table}.{one.name}", shown, origins)


def _keys_of(table: str, values: msgspec.Struct, origins: Mapping[str, str]) -> Iterator[ConfigKey]:
    told = meanings(type(values))
    for field in msgspec.structs.fields(values):
        value = getattr(values, field.name)
        shown = masked_source(value) if field.name in ("source", "broker") else value
        is_default = value == (field.default if field.default_factory is msgspec.NODEFAULT else field.default_factory())
        yield ConfigKey(
            table,
            field.name,
            masked(json.dumps(msgspec.to_builtins(shown), ensure_ascii=False)),
            _origin(f"{table}.{field.name}", origins, is_default=is_default),
            told.get(field.name, ""),
        )


def _origin(key: str, origins: Mapping[str, str], *, is_default: bool) -> str:
    if (origin := origins.get(key, "")) and not (is_default and origin == RELOADED):
        return origin
    return DEFAULT if is_default else "detect.preset" if key in BY_PRESET else "not known"


ROUTES: tuple[Route, ...] = (
    Route("GET", "/api/log", "rule", log_lines, LinesWanted, list[LogLine]),
    Route("GET", "/api/config", "rule", config_keys, gives=list[ConfigKey]),
)
