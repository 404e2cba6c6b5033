"""`jetstream evaluate --compare`: every network on the same photos."""

import json

import pytest

from jetstream.config.galleries import gallery_dirs
from jetstream.networks.embedders import SPECS
from tests.support.inside import Inside
from tests.support.photos import COLLINS, HOPPER, looks


@pytest.fixture
def photos(jetstream: Inside, portraits) -> Inside:
    import cv2

    for name in (COLLINS, HOPPER):
        folder = jetstream.folder / "faces" / name
        folder.mkdir(parents=True)
        for number, look in enumerate(looks(portraits[name])):
            cv2.imwrite(str(folder / f"{number}.png"), look)
    return jetstream


def test_every_network_is_measured_and_the_gallery_in_use_stays_the_only_one(photos: Inside) -> None:
    found = photos("evaluate", "--compare", "--json", sets=True)

    assert found.returncode == 0, found.stderr
    results = json.loads(found.stdout)
    assert list(results) == list(SPECS)
    assert {result["people"] for result in results.values()} == {2}
    assert [folder.name.rpartition("-")[2] for folder in gallery_dirs(photos.folder / "faces", photos.models)] == [
        "sface"
    ]


def test_table_has_a_column_for_each_network(photos: Inside) -> None:
    found = photos("evaluate", "--compare", sets=True)

    assert found.returncode == 0, found.stderr
    assert "sface" in found.stdout
    assert "dlib" in found.stdout
    assert "in use: sface" in found.stdout
    assert not (photos.folder / "evaluation.html").exists()


def test_report_of_a_comparison_is_refused_before_anything_is_done(photos: Inside) -> None:
    found = photos("evaluate", "--compare", "--out", "report.html")

    assert found.returncode == 2
    assert found.stderr.strip().endswith("--out: --compare writes no report; leave one of them out")
