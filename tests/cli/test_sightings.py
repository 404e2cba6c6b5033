"""The commands about sightings, with a database that the recorder wrote."""

import csv
import io
import json
import re
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import msgspec
import pytest
from rich.console import Console

from jetstream.config.schema import Config
from jetstream.sightings import database, tables
from tests.support.command import fails_with
from tests.support.inside import Inside
from tests.support.repository import DEMO
from tests.support.sightings import IDS, at, config_with, face, pictures, record, stored, write_many


@pytest.fixture
def config(jetstream: Inside) -> Config:
    """Ada from 0 to 10 s, a stranger from 5 to 6 s, in the folder where the commands run."""
    config = config_with(jetstream.folder)
    frames = [at(0, face(IDS[0], "Ada")), at(5, face(IDS[1])), at(6, face(IDS[1])), at(10, face(IDS[0], "Ada"))]
    record(config, frames, pictures(config))
    return config


def lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def test_sightings_are_listed_as_table_json_and_csv(jetstream: Inside, config: Config) -> None:
    table = jetstream("sightings")
    assert table.returncode == 0
    assert ["Ada" in line for line in table.stdout.splitlines() if IDS[0] in line or IDS[1] in line] == [True, False]
    assert "90%" in table.stdout

    found = lines(jetstream("sightings", "--json").stdout)
    assert [(one["id"], one["name"], one["begin"]) for one in found] == [
        (IDS[0], "Ada", "2026-11-28T21:06:39.000Z"),
        (IDS[1], None, "2026-11-28T21:06:44.000Z"),
    ]
    rows = list(csv.DictReader(io.StringIO(jetstream("sightings", "--csv").stdout)))
    assert [(row["id"], row["name"]) for row in rows] == [(IDS[0], "Ada"), (IDS[1], "")]


def test_list_of_several_pages_has_each_sighting_once_in_order(jetstream: Inside) -> None:
    config = config_with(jetstream.folder)
    write_many(Path(config.sightings.dir), 1201)
    found = stored(config)
    ids = [one.id for one in found]
    assert len(ids) == 1201

    as_json = jetstream("sightings", "--most", "0", "--json").stdout
    assert as_json == "".join(msgspec.json.encode(one).decode() + "\n" for one in found)
    assert jetstream("sightings", "--most", "0", "--csv").stdout == tables.as_csv(found)
    as_text = jetstream("sightings", "--most", "0").stdout
    assert re.findall(r"\d{26}", as_text) == ids
    at_once = Console(width=200, file=io.StringIO())
    at_once.print(tables.table(found))
    assert as_text == at_once.file.getvalue()  # type: ignore[attr-defined]
    assert as_text.count("begin") == 1
    newest = jetstream("sightings", "--most", "700")
    assert re.findall(r"\d{26}", newest.stdout) == ids[-700:]
    assert "the newest 700; --most 0 shows all" in newest.stderr


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (("--person", "Ada"), [0]),
        (("--unknown",), [1]),
        (("--camera", "a", "--most", "1"), [1]),
        (("--from", "2026-11-28T21:06:48Z"), [0]),
        (("--to", "2026-11-28T21:06:40Z"), [0]),
        (("--from", "2026-11-29T00:00Z"), []),
        (("--stranger", "3"), []),
    ],
)
def test_options_say_which(jetstream: Inside, config: Config, options: tuple[str, ...], expected: list[int]) -> None:
    result = jetstream("sightings", "--json", *options)

    assert (result.returncode, [one["id"] for one in lines(result.stdout)]) == (0, [IDS[i] for i in expected])


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--person", "Ad"), "--person Ad: there is no such person in the config or among sightings: Ada"),
        (("--camera", "dor"), "--camera dor: there is no such camera in the config or among sightings: a"),
        (("--zone", "porch"), "--zone porch: there is no such zone in the config or among sightings: none"),
        (("--from", "soon"), "--from soon: no time"),
        (("--from", "1h", "--to", "2h"), "--to 2h: is not after --from 1h"),
        (("--stranger", "9" * 20), "Invalid value for '--stranger'"),
        (("--most", "9" * 20), "Invalid value for '--most'"),
        (("--json", "--csv"), "--csv: --json prints another form"),
        (("--csv", "--follow"), "--follow: prints lines or JSON"),
    ],
)
def test_slip_is_one_sentence(jetstream: Inside, config: Config, options: tuple[str, ...], words: str) -> None:
    fails_with(jetstream("sightings", *options), 2, words)


@pytest.mark.parametrize(
    "command", [("sightings",), ("presence",), ("sighting", IDS[0]), ("correct", IDS[0], "--ignore")]
)
def test_no_database_is_one_sentence(jetstream: Inside, command: tuple[str, ...]) -> None:
    fails_with(jetstream(*command), 2, "sightings.db: there is none; sightings are recorded while `jetstream run` runs")
    assert not (jetstream.folder / "sightings").exists()


@pytest.mark.parametrize("command", [("sightings",), ("presence",), ("sighting", IDS[0])])
def test_damaged_database_is_one_sentence(jetstream: Inside, config: Config, command: tuple[str, ...]) -> None:
    path = Path(config.sightings.dir, "sightings.db")
    path.write_bytes(b"x" * path.stat().st_size)

    fails_with(jetstream(*command), 2, "damaged", "move it away, or restore it with `jetstream restore`")


def test_sighting_shows_why_and_its_looks(jetstream: Inside, config: Config) -> None:
    shown = jetstream("sighting", IDS[0][-6:].lower())

    assert shown.returncode == 0
    for words in ("Ada at a", IDS[0], "Ada: 3 answers, log odds 4.0, nearest at distance 0.30, photo Ada/1.jpg"):
        assert words in shown.stdout
    looks = [line.split()[1] for line in shown.stdout.splitlines() if line.startswith("  look")]
    assert looks
    assert all((jetstream.folder / look).is_file() for look in looks)
    assert lines(jetstream("sighting", IDS[0], "--json").stdout)[0]["id"] == IDS[0]


def test_presence_is_shown_as_table_and_json(jetstream: Inside, config: Config) -> None:
    assert "away, last in a" in jetstream("presence").stdout
    assert lines(jetstream("presence", "--json").stdout)[0]["people"][0]["name"] == "Ada"


def test_follow_prints_what_happens(jetstream: Inside, config: Config) -> None:
    words = [sys.executable, "-m", "jetstream.cli", "sightings", "--follow", "--json", "--person", "Ada"]
    environment = {key: value for key, value in jetstream.environment.items() if key != "PYTHONUNBUFFERED"}
    options = {"cwd": jetstream.folder, "env": environment, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen(words, **options) as following:  # type: ignore[call-overload]
        try:
            assert following.stdout is not None
            assert json.loads(following.stdout.readline())["id"] == IDS[0]
            record(config, [at(20, face(IDS[2], "Ada"))])
            told = [json.loads(following.stdout.readline()) for _ in range(2)]
        finally:
            following.terminate()

    assert [(one["change"], one["sighting"]["id"]) for one in told] == [("enter", IDS[2]), ("exit", IDS[2])]
    assert told[1]["seq"] == told[0]["seq"] + 1


def test_follow_goes_on_with_a_database_that_takes_the_place(jetstream: Inside, config: Config) -> None:
    words = [sys.executable, "-m", "jetstream.cli", "sightings", "--follow", "--json"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(words, cwd=jetstream.folder, env=jetstream.environment, **pipes) as following:  # type: ignore[call-overload]
        try:
            assert [json.loads(following.stdout.readline())["id"] for _ in range(2)] == [IDS[0], IDS[1]]
            database.move_away(Path(config.sightings.dir))
            assert "the database of sightings is gone" in following.stderr.readline()
            record(config, [at(20, face(IDS[2], "Ada"))])
            told = [json.loads(following.stdout.readline()) for _ in range(2)]
        finally:
            following.terminate()

    assert [(one["change"], one["sighting"]["id"]) for one in told] == [("enter", IDS[2]), ("exit", IDS[2])]


def test_forget_takes_the_sightings_along(
    jetstream: Inside, config: Config, own_models: Path, portraits: dict[str, Any]
) -> None:
    jetstream = Inside(jetstream.folder, own_models)
    folder = jetstream.folder / "faces" / "Ada"
    folder.mkdir(parents=True)
    cv2.imwrite(str(folder / "1.jpg"), portraits["Eileen Collins"])

    result = jetstream("forget", "Ada", "--yes", sets=True)

    assert result.returncode == 0, result.stderr
    assert "1 sighting with" in result.stdout
    assert [sighting.id for sighting in stored(config)] == [IDS[1]]
    assert "Ada" not in jetstream("sightings").stdout


def test_name_may_be_spelt_with_decomposed_accents(jetstream: Inside, own_models: Path) -> None:
    config = config_with(jetstream.folder)
    record(config, [at(0, face(IDS[0], "Zo\u00eb"))])
    jetstream = Inside(jetstream.folder, own_models)
    (jetstream.folder / "faces").mkdir()

    result = jetstream("forget", "Zoe\u0308", "--yes", sets=True)

    assert result.returncode == 0, result.stderr
    assert stored(config) == []


def test_person_who_is_only_in_sightings_can_be_forgotten(jetstream: Inside, config: Config, own_models: Path) -> None:
    jetstream = Inside(jetstream.folder, own_models)
    (jetstream.folder / "faces").mkdir()

    result = jetstream("forget", "Ada", "--yes", sets=True)

    assert result.returncode == 0, result.stderr
    assert [sighting.id for sighting in stored(config)] == [IDS[1]]


def test_rename_takes_the_sightings_along(
    jetstream: Inside, config: Config, own_models: Path, portraits: dict[str, Any]
) -> None:
    jetstream = Inside(jetstream.folder, own_models)
    folder = jetstream.folder / "faces" / "Ada"
    folder.mkdir(parents=True)
    cv2.imwrite(str(folder / "1.jpg"), portraits["Eileen Collins"])

    assert jetstream("rename", "Ada", "Ada Lovelace", sets=True).returncode == 0

    assert [sighting.name for sighting in stored(config)] == ["Ada Lovelace", None]


def test_run_refuses_a_database_of_a_newer_version(jetstream: Inside, config: Config) -> None:
    path = Path(config.sightings.dir, "sightings.db")
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 999")
    connection.close()

    fails_with(jetstream("run", DEMO, "--headless", sets=True), 2, "made by a newer jetstream (version 999", "update")


def test_run_refuses_a_folder_of_sightings_that_cant_be_made(jetstream: Inside) -> None:
    (jetstream.folder / "file").write_text("")

    result = jetstream("run", DEMO, "--headless", "--set", "sightings.dir=file/here", sets=True)

    fails_with(result, 2, "sightings.dir: file/here: Not a directory; name a folder that can be written")


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ('[[cameras.zones]]\nname = "a b"\npolygon = [[0,0],[1,0],[1,1]]', "cameras[0].zones[0].name"),
        ('[[cameras.zones]]\nname = "porch"\npolygon = [[0,0],[1,0]]', "cameras[0].zones[0].polygon"),
        (
            '[[cameras.zones]]\nname = "porch"\npolygon = [[0,0],[9,9],[5,5]]',
            "cameras[0].zones[0].polygon: its corners",
        ),
        (
            '[[cameras.zones]]\nname = "porch"\npolygon = [[0,0],[9,0],[9,9]]\n'
            '[[cameras.zones]]\nname = "porch"\npolygon = [[0,0],[9,0],[9,9]]',
            "cameras[0].zones: two zones are named porch; give each its own name",
        ),
        ("[sightings]\nabsence_s = 0", "sightings.absence_s"),
        ("[sightings]\nlooks = 11", "sightings.looks"),
        ("[presence]\naway_s = -1", "presence.away_s"),
    ],
)
def test_wrong_zone_or_setting_is_one_sentence(jetstream: Inside, table: str, said: str) -> None:
    path = jetstream.folder / "my.toml"
    path.write_text(f'[[cameras]]\nname = "door"\nsource = "demo"\n{table}\n')

    fails_with(jetstream("check", str(path)), 2, said)


def test_corrected_sighting_says_to_whom(jetstream: Inside, config: Config) -> None:
    with database.opened(Path(config.sightings.dir), write=True) as connection:
        connection.execute("UPDATE sightings SET verdict = 'name', corrected = 'Grace' WHERE id = ?", (IDS[0],))

    assert "  corrected  to Grace" in jetstream("sighting", IDS[0]).stdout.splitlines()
