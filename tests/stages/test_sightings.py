"""The stage sightings as a generator, and through a whole replay of the demo."""

from pathlib import Path

from jetstream.messages import Ended, Finished, InUse, Tick
from jetstream.stages.sightings import sightings
from tests.support.sightings import IDS, at, config_with, face, pictures, stored

GALLERY = InUse(sha256="ab" * 32, people=1, photos=2)


def test_stage_finishes_every_frame_and_ends_all_sightings_with_its_input(tmp_path: Path) -> None:
    config = config_with(tmp_path)
    frames = [at(0, face(IDS[0], "Ada")), at(1, face(IDS[0], "Ada")), at(1, face(IDS[1]))]
    messages = [GALLERY, frames[0], Tick(), frames[1], frames[2], Ended(sender="")]

    sent = list(sightings(iter(messages), pictures(config), config))

    assert sent == [Finished(frame=frames[0].frame), Finished(frame=frames[1].frame)], "a repeated frame counts once"
    (sighting,) = stored(config)
    assert (sighting.state, sighting.gallery) == ("ended", GALLERY.sha256)


def test_stage_that_is_stopped_leaves_its_sightings_open(tmp_path: Path) -> None:
    """It is started again, and goes on with them."""
    config = config_with(tmp_path)
    list(sightings(iter([at(0, face(IDS[0]))]), pictures(config), config))
    assert [sighting.state for sighting in stored(config)] == ["open"]

    list(sightings(iter([at(5, face(IDS[0])), Ended(sender="")]), pictures(config), config))

    assert [(sighting.state, sighting.end_s) for sighting in stored(config)] == [("ended", 5.0)]
