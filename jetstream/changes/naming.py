"""Gives people other names everywhere: their photos, and the sightings made so far. Doesn't train."""

from pathlib import Path

from jetstream.config.schema import Config, run_dir
from jetstream.gallery import audit, people, photos
from jetstream.runtime.run_dir import RunDir
from jetstream.sightings import erasure as sightings


def rename(old: str, new: str, config: Config, *, by: str = "") -> list[Path]:
    """Give a person another name. Returns links into their folder, which may lead nowhere now. `by`: as in `forget`.

    Raises UserError: no such person, the name is taken or can't be one, or a file is in the way.
    """
    broken = people.rename(old, new, people.faces_folder(config))
    _renamed("rename", old, new, config, by)
    return broken


def merge(source: str, target: str, config: Config, *, by: str = "") -> list[Path]:
    """Make two people one: `source` becomes `target`. Otherwise as `rename`."""
    broken = people.merge(source, target, people.faces_folder(config))
    _renamed("merge", source, target, config, by)
    return broken


def _renamed(what: audit.What, old: str, new: str, config: Config, by: str) -> None:
    for folder in sighting_folders(config):
        sightings.rename(photos.normal(old), photos.normal(new), folder)
    for name in (old, new):
        audit.add(Path(config.models.dir), what, name, by=by)


def sighting_folders(config: Config) -> list[Path]:
    """The folders of sightings of the config, and of the pipeline that runs."""
    folders = [Path(config.sightings.dir)]
    running = RunDir(run_dir(config))
    if running.is_running():
        theirs = Path(running.running_config().sightings.dir)
        folders += [theirs] if theirs.resolve() != folders[0].resolve() else []
    return folders
