"""The four reference pages, made from the code: `python -m tools.reference` writes them, `--check` compares.

- docs/reference/config.md: every key of `jetstream/config/schema.py`
- docs/reference/commands.md: every command and option of `jetstream/cli`
- docs/reference/events.md: every field of an event line, and of the messages of the topic, of MQTT and of alerts
- docs/reference/page.md: every address of the page

A meaning is the string below its field; a command's is its docstring. Nothing passes through a terminal, so no width
and no markup changes a page.
"""

import inspect
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, NamedTuple, get_args, get_origin, get_type_hints

import msgspec
import typer
from rich.text import Text
from typer.models import ArgumentInfo, OptionInfo

from jetstream import events, messages, sighting
from jetstream.alerts import message as alert_message
from jetstream.cli import app
from jetstream.config import schema
from jetstream.meanings import meanings
from jetstream.mqtt.happenings import CameraEvent, SightingUpdate
from jetstream.mqtt.states import PersonState
from jetstream.sightings.camera_presence import CameraPresence
from tools import page_reference
from tools.types_in_words import plural, words

PAGES = Path(__file__).resolve().parents[1] / "docs" / "reference"
NOTICE = "<!-- Made by `make docs` from the code. Change the code, not this page. -->"
UNITS = {"_s": "s", "_ns": "ns", "_ms": "ms", "_px": "px", "_mb": "MB", "_gb": "GB", "_hours": "h", "_days": "days"}


class Command(NamedTuple):
    words: str
    function: Callable[..., Any]


def main(options: list[str]) -> int:
    pages = {"config.md": config_page(), "commands.md": commands_page(), "events.md": events_page()}
    pages["page.md"] = "\n\n".join(page_reference.parts(NOTICE)) + "\n"
    if "--check" in options:
        stale = [name for name, text in pages.items() if not is_current(PAGES / name, text)]
        for name in stale:
            print(f"docs/reference/{name}: stale; run `make docs`, or `python -m tools.reference`", file=sys.stderr)
        return 1 if stale else 0
    PAGES.mkdir(exist_ok=True)
    for name, text in pages.items():
        (PAGES / name).write_text(text)
    return 0


def is_current(page: Path, text: str) -> bool:
    return page.exists() and page.read_text() == text


def config_page() -> str:
    parts = [NOTICE, "# Every config key", CONFIG_INTRODUCTION]
    for title, table in config_tables(schema.Config, ""):
        parts += [f"## `{title}`", *(config_table(table),)]
    return "\n\n".join(parts) + "\n"


CONFIG_INTRODUCTION = """```sh
jetstream check configs/demo.toml
```

This prints the config that is in effect, with every default filled in. A config file is TOML. Every key has a default
unless the table says *required*. `--set table.key=value` overrides one key on the command line. An unknown key is an
error, and the message names the nearest known one. `configs/` has files for a camera, the demo, a Jetson and a server.

Names end in their unit: `_s` seconds, `_ms` milliseconds, `_px` pixels, `_mb` 10^6 bytes, `_gb` 10^9 bytes."""


def config_tables(kind: type[msgspec.Struct], inside: str) -> Iterator[tuple[str, type[msgspec.Struct]]]:
    """Each table with the header that a TOML file gives it; a table comes before the tables inside it."""
    for name, hint in get_type_hints(kind, include_extras=True).items():
        many = get_origin(hint) is tuple
        table = get_args(hint)[0] if many else hint
        if isinstance(table, type) and issubclass(table, msgspec.Struct):
            path = f"{inside}{name}"
            yield (f"[[{path}]]" if many else f"[{path}]"), table
            yield from config_tables(table, f"{path}.")


def config_table(kind: type[msgspec.Struct]) -> str:
    hints, told = get_type_hints(kind, include_extras=True), meanings(kind)
    rows = [
        (f"`{field.name}`", in_words(hints[field.name]), default_of(field), told[field.name])
        for field in msgspec.structs.fields(kind)
    ]
    return table(("key", "value", "default", "meaning"), rows)


def default_of(field: msgspec.structs.FieldInfo) -> str:
    if field.default_factory is not msgspec.NODEFAULT:
        return f"`{json.dumps(field.default_factory())}`"
    if field.default is msgspec.NODEFAULT:
        return "*required*"
    if field.default is None:
        return "unset"
    return f"`{json.dumps(field.default)}`"


def commands_page() -> str:
    parts = [NOTICE, "# Every command", COMMANDS_INTRODUCTION]
    for command in commands(app, "jetstream"):
        parts += [f"## {command.words}", inspect.cleandoc(command.function.__doc__ or ""), *command_tables(command)]
    return "\n\n".join(parts) + "\n"


COMMANDS_INTRODUCTION = """```sh
jetstream --help
jetstream run --help
```

Exit codes of every command: 0 done; 1 a failure at run time; 2 wrong usage or config; 143 or 129 ended by SIGTERM or
a hang-up before the pipeline ran. An error is one sentence on standard error: where, what, and what to do."""


def commands(group: typer.Typer, before: str) -> Iterator[Command]:
    """Every visible command, those of the app first and then each group's, in alphabetical order."""
    found = []
    for info in group.registered_commands:
        if info.callback is not None and not info.hidden:
            found.append(Command(f"{before} {info.name or info.callback.__name__.replace('_', '-')}", info.callback))
    yield from sorted(found)
    for inner in sorted(group.registered_groups, key=lambda inner: str(inner.name)):
        if inner.typer_instance is not None and not inner.hidden:
            root = inner.typer_instance.registered_callback
            if root is not None and root.callback is not None:  # the group's name alone is a command
                yield Command(f"{before} {inner.name}", root.callback)
            yield from commands(inner.typer_instance, f"{before} {inner.name}")


def command_tables(command: Command) -> Iterator[str]:
    """The usage line, then arguments and options where there are any."""
    arguments: list[tuple[inspect.Parameter, tuple[str, ...]]] = []
    options: list[tuple[inspect.Parameter, tuple[str, ...]]] = []
    for parameter, hint, info in parameters(command.function):
        row = (name_of(parameter, info), in_words(hint), default(parameter), plain(info.help if info else None))
        (options if isinstance(info, OptionInfo) else arguments).append((parameter, row))
    usage = [command.words, *(usage_of(parameter) for parameter, _ in arguments), *(["[OPTIONS]"] if options else [])]
    yield f"```text\n{' '.join(usage)}\n```"
    if arguments:
        yield table(("argument", "value", "default", "meaning"), [row for _, row in arguments])
    if options:
        yield table(("option", "value", "default", "meaning"), [row for _, row in options])


def parameters(
    function: Callable[..., Any],
) -> Iterator[tuple[inspect.Parameter, Any, OptionInfo | ArgumentInfo | None]]:
    hints = get_type_hints(function, include_extras=True)
    for name, parameter in inspect.signature(function).parameters.items():
        hint, info = hints[name], None
        if get_origin(hint) is Annotated:
            hint, *extras = get_args(hint)
            info = next((extra for extra in extras if isinstance(extra, OptionInfo | ArgumentInfo)), None)
        if hint is not typer.Context and (info is None or not info.hidden):
            yield parameter, (hint, info), info


def name_of(parameter: inspect.Parameter, info: OptionInfo | ArgumentInfo | None) -> str:
    if not isinstance(info, OptionInfo):
        return f"`{parameter.name.strip('_').upper()}`"
    # inside Annotated, Option's first argument is a name, although typer calls it `default`
    declared = [str(word) for word in (info.default, *(info.param_decls or ())) if str(word).startswith("-")]
    return ", ".join(f"`{word}`" for word in declared or [f"--{parameter.name.replace('_', '-')}"])


def usage_of(parameter: inspect.Parameter) -> str:
    many = "..." if "list[" in str(parameter.annotation) else ""
    name = f"{parameter.name.strip('_').upper()}{many}"
    return name if parameter.default is inspect.Parameter.empty else f"[{name}]"


def default(parameter: inspect.Parameter) -> str:
    if parameter.default is inspect.Parameter.empty:
        return "*required*"
    if parameter.default in (None, "", False):
        return ""
    return f"`{parameter.default}`"


def plain(help_text: str | None) -> str:
    """Without rich's markup, as a terminal shows it."""
    return Text.from_markup(help_text).plain if help_text else ""


def in_words(hint: Any) -> str:
    """The type as a page shows it; of an option also its range, that it is a flag, and that it may be repeated."""
    if not isinstance(hint, tuple):
        return words(hint)
    kind, info = hint
    if isinstance(info, OptionInfo) and kind is bool:
        return "flag"
    shown = words(kind)
    if shown.startswith("list of "):
        inner = words(next(part for part in (kind, *get_args(kind)) if get_origin(part) is list))
        single = next(word for word in ("text", "path", "whole number") if plural(word) in inner)
        return f"{single}, repeatable" if isinstance(info, OptionInfo) else f"one or more {plural(single)}"
    limits = msgspec.Meta(ge=info.min, le=info.max) if info and (info.min, info.max) != (None, None) else None
    return words(Annotated[kind, limits]) if limits and get_origin(kind) is None else with_limits(shown, limits)


def with_limits(shown: str, limits: msgspec.Meta | None) -> str:
    return shown if limits is None else shown + words(Annotated[float, limits]).removeprefix("number")


def events_page() -> str:
    parts = [
        *(NOTICE, "# Every event field", EVENTS_INTRODUCTION),
        *("## The event line", sentence(events.Event), fields(events.Event)),
        *("## A track", sentence(events.EventTrack), fields(events.EventTrack)),
        *("## A candidate name", sentence(messages.NameCandidate), fields(messages.NameCandidate)),
        *("## The message number", sentence(events.MessageNumber), fields(events.MessageNumber)),
        *("## The gallery message", sentence(events.GalleryMessage), fields(events.GalleryMessage)),
        *("## The sighting message", sentence(sighting.SightingMessage), fields(sighting.SightingMessage)),
        *("## A sighting", sentence(sighting.Sighting), fields(sighting.Sighting)),
        *("## The alert message", sentence(alert_message.AlertMessage), fields(alert_message.AlertMessage)),
        *("## The data of an alert", sentence(alert_message.AlertData), fields(alert_message.AlertData)),
        *("## A zone that was visited", sentence(sighting.ZoneVisit), fields(sighting.ZoneVisit)),
        *("## MQTT: an event of a camera", sentence(CameraEvent), fields(CameraEvent)),
        *("## MQTT: a sighting", sentence(SightingUpdate), fields(SightingUpdate)),
        *("## MQTT: a person", sentence(PersonState), fields(PersonState)),
        *("## MQTT: the people at a camera", sentence(CameraPresence), fields(CameraPresence)),
    ]
    return "\n\n".join(parts) + "\n"


EVENTS_INTRODUCTION = f"""```sh
jetstream replay party.mp4 --out events.jsonl
head -n 1 events.jsonl
```

The schema is version {events.SCHEMA}. `schema` rises when the meaning of a field changes. New fields may come at any
time, so a reader ignores what it doesn't know.
[Events and the detections topic](../events.md) and [Home Assistant and MQTT](../home-assistant.md) show how to read
them."""


def sentence(kind: type[msgspec.Struct]) -> str:
    return inspect.cleandoc(kind.__doc__ or "")


def fields(kind: type[msgspec.Struct]) -> str:
    hints, told = get_type_hints(kind, include_extras=True), meanings(kind)
    rows = []
    for field in msgspec.structs.fields(kind):
        meaning, _, unit = told[field.name].partition(" [")
        unit = unit.removesuffix("]") or next((u for end, u in UNITS.items() if field.name.endswith(end)), "")
        rows.append((f"`{field.name}`", event_type(hints[field.name]), unit, meaning))
    return table(("field", "type", "unit", "meaning"), rows)


def event_type(hint: Any) -> str:
    """As `in_words`, with `or null` where it may be."""
    return f"{words(hint)}{' or null' if type(None) in get_args(hint) else ''}"


def table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n".join("| " + " | ".join(escaped(cell) for cell in line) + " |" for line in lines)


def escaped(cell: str) -> str:
    """Text as a cell of a Markdown table: bars, and `<` outside of code, which would begin HTML."""
    parts = cell.replace("|", "\\|").split("`")
    return "`".join(part if i % 2 else part.replace("<", "&lt;") for i, part in enumerate(parts))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
