"""`jetstream strangers` and `search`, with the real network and real faces."""

import json
import stat
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from jetstream.config.schema import Config
from tests.support.command import fails_with
from tests.support.inside import Inside
from tests.support.sightings import IDS, Portraits, config_with

COLLINS, HOPPER = "Eileen Collins", "Grace Hopper"


@pytest.fixture
def command(jetstream: Inside, own_models: Path, portraits: dict[str, np.ndarray]) -> Inside:
    """The command, in a folder with a photo of each of the two."""
    for name, image in portraits.items():
        cv2.imwrite(str(jetstream.folder / f"{name.split()[1]}.jpg"), cv2.flip(image, 1))
    return Inside(jetstream.folder, own_models)


@pytest.fixture
def config(command: Inside, portraits: dict[str, np.ndarray]) -> Config:
    """Hopper twice without a name, Collins once with hers; no picture was embedded yet."""
    config = config_with(command.folder, models=command.models)
    Portraits(config, portraits).seen(config, (HOPPER, IDS[0], None), (COLLINS, IDS[1], "Ada"), (HOPPER, IDS[2], None))
    return config


def lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def test_strangers_are_listed_once_each(command: Inside, config: Config) -> None:
    table = command("strangers", sets=True)
    assert table.returncode == 0, table.stderr
    assert IDS[2] in table.stdout
    assert IDS[0] not in table.stdout

    (stranger,) = lines(command("strangers", "--json", "--seen", "2", sets=True).stdout)
    assert (stranger["number"], stranger["sightings"], stranger["cameras"], stranger["newest"]) == (1, 2, ["a"], IDS[2])
    assert (command.folder / "sightings" / stranger["look"]).is_file()
    assert "no strangers" in command("strangers", "--seen", "3", sets=True).stderr
    found = lines(command("sightings", "--stranger", "1", "--json").stdout)
    assert [sighting["id"] for sighting in found] == [IDS[0], IDS[2]]


def test_search_finds_the_same_face_first_and_says_how_likely(command: Inside, config: Config) -> None:
    result = command("search", "Hopper.jpg", "--json", sets=True)

    assert result.returncode == 0, result.stderr
    found = lines(result.stdout)
    assert [one["sighting"]["id"] for one in found][:2] in ([IDS[0], IDS[2]], [IDS[2], IDS[0]])
    assert [one["probability"] > 0.5 for one in found] == [True, True, False]
    assert found[0]["distance"] <= found[1]["distance"] < found[2]["distance"]
    known = lines(command("search", "Collins.jpg", "--json", "--most", "1", sets=True).stdout)
    assert [(one["sighting"]["name"], one["probability"] > 0.5) for one in known] == [("Ada", True)]


def test_search_keeps_to_the_time_asked_for(command: Inside, config: Config) -> None:
    found = lines(command("search", "Hopper.jpg", "--json", "--from", "2026-11-28T21:09Z", sets=True).stdout)
    assert [one["sighting"]["id"] for one in found] == [IDS[2]]

    nothing = command("search", "Hopper.jpg", "--to", "2020-01-01", sets=True)
    assert nothing.returncode == 0
    assert "no sighting with a picture in that time" in nothing.stderr


def test_sheet_shows_the_photo_and_what_was_found(command: Inside, config: Config) -> None:
    result = command("search", "Hopper.jpg", "--out", "found.png", sets=True)

    assert result.returncode == 0, result.stderr
    sheet = command.folder / "found.png"
    assert stat.S_IMODE(sheet.stat().st_mode) == 0o600
    image = cv2.imread(str(sheet))
    assert image.shape[1] > image.shape[0], "four pictures side by side"
    assert "export" in command("audit", sets=True).stdout


@pytest.mark.parametrize(
    ("photo", "said"),
    [
        ("missing.jpg", "missing.jpg: can't be opened; name a file that this user may read"),
        ("text.jpg", "text.jpg: no picture that can be read; name a JPEG, PNG or HEIC file"),
        ("grey.png", "grey.png: no face was found; name a photo that shows one"),
        ("both.png", "both.png: several faces are as large; cut the photo so that one is left"),
    ],
)
def test_photo_that_cant_be_searched_is_one_sentence(
    command: Inside, config: Config, portraits: dict[str, np.ndarray], photo: str, said: str
) -> None:
    (command.folder / "text.jpg").write_text("no picture")
    cv2.imwrite(str(command.folder / "grey.png"), np.full((300, 300, 3), 128, np.uint8))
    collins = portraits[COLLINS]
    cv2.imwrite(str(command.folder / "both.png"), np.hstack([collins, cv2.flip(collins, 1)]))

    fails_with(command("search", photo, sets=True), 2, said)


def test_sheet_that_cant_be_written_is_one_sentence(command: Inside, config: Config) -> None:
    fails_with(command("search", "Hopper.jpg", "--out", "nowhere/x.png", sets=True), 2, "--out nowhere/x.png: No such")


def test_sheet_of_another_kind_is_refused_before_the_search(command: Inside, config: Config) -> None:
    fails_with(command("search", "Hopper.jpg", "--out", "found.txt", sets=True), 2, "JPEG or PNG", ".jpg, .jpeg, .png")
    assert not (command.folder / "found.txt").exists()
