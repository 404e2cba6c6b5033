"""Erases people: their photos and recordings, and searches every folder in use for what is left of them.

Nothing is erased through a link. Doesn't train: the gallery must be trained again between `forget` and `traces`.
"""

import contextlib
import os
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import NamedTuple

from jetstream.config import schema as configuration
from jetstream.config.galleries import gallery_dir, gallery_dirs
from jetstream.config.schema import Config
from jetstream.errors import ModelError, UserError
from jetstream.gallery import layout, photos, removal, store, train
from jetstream.gallery.people import changing, faces_folder, person_folders
from jetstream.gallery.person_traces import PersonTraces, traces_of
from jetstream.networks.embedders import DEFAULT, embedder_of
from jetstream.recording import library as recordings
from jetstream.runtime.run_dir import RunDir


class SearchedFolders(NamedTuple):
    """The folders that may hold people: three to erase from, and others that are only searched."""

    faces: Path
    models: Path
    recordings: Path | None = None  # None: recordings stay
    kept_recordings: tuple[Path, ...] = ()  # other folders of recordings that are in use
    running: tuple[Path, Path] | None = None  # faces and models of the running pipeline, where these differ
    network: str = DEFAULT  # whose gallery is trained again; those of other networks are erased
    seen: frozenset[str] = frozenset()  # names that are known from elsewhere, such as sightings


class Remains(NamedTuple):
    """Files and folders that still hold people, and what to do about it."""

    paths: list[Path]
    remedy: str

    def __str__(self) -> str:
        return f"{', '.join(map(str, self.paths))} ({self.remedy})"


def folders_in_use(config: Config, recorded: Path | None = None) -> SearchedFolders:
    """The folders of `config` and of the pipeline running in its run directory; `recorded`: recordings to erase.

    Raises UserError for the demo's faces, PipelineError where the running pipeline's config can't be read.
    """
    faces, models = faces_folder(config), Path(config.models.dir)
    record_dirs = [config.record.dir]
    running = None
    run_dir = RunDir(configuration.run_dir(config))
    if run_dir.is_running():
        theirs = run_dir.running_config()
        record_dirs.append(theirs.record.dir)
        used = Path(theirs.recognize.faces), Path(theirs.models.dir)
        if _real(*used) != _real(faces, models):
            running = used
    kept = _different([Path(folder) for folder in record_dirs if folder and not _is_missing(Path(folder))])
    erased = None if recorded is None else os.path.realpath(recorded)
    kept = [folder for folder in kept if os.path.realpath(folder) != erased]
    return SearchedFolders(faces, models, recorded, tuple(kept), running, embedder_of(config).spec.name)


def find(names: Collection[str], where: SearchedFolders) -> PersonTraces:
    """What `forget` would erase.

    Raises UserError for a name that is in no photo's folder, no version of a gallery and no recording, and where
    a folder is missing or can't be read, or a recording to erase is still being made.
    """
    wanted = {photos.check_name(name) for name in names}
    faces_dir, recorded = where.faces, where.recordings
    removal.check_no_link(faces_dir, "--faces")
    if not faces_dir.is_dir():  # the photos may be on a disk that isn't mounted, where nothing could be verified
        raise UserError(f"{faces_dir}: no such folder of faces; restore it or, if all photos are gone, create it empty")
    listing = photos.list_photos(faces_dir)
    if recorded is not None:
        removal.check_no_link(recorded, "--recordings")
        recordings.check_finished(recorded)
    heard = {} if recorded is None else recordings.people_in(recorded)
    kept = {folder: found for folder in where.kept_recordings if (found := len(recordings.of(wanted, folder)))}
    others = elsewhere(wanted, where)  # before anything is erased, since it raises where a folder can't be read
    known = {*listing.people, *_people_in_gallery(where), *(name for who in heard.values() for name in who)}
    known |= {recordings.normal(folder.name) for folder in person_folders(faces_dir)} | where.seen
    for missing in sorted(wanted - known):
        if (others and elsewhere([missing], where)) or any(recordings.of([missing], folder) for folder in kept):
            continue
        places = f"{faces_dir}, in the gallery" + (f", in {recorded}" if recorded is not None else "")
        raise UserError(
            f"{missing}: there is no such person in {places}; there are: {', '.join(listing.people) or 'nobody'}"
        )
    archives = [path for folder in gallery_dirs(faces_dir, where.models) for path in _archives(folder)]
    erased = None if recorded is None else [path for path, who in heard.items() if who & wanted]
    return traces_of(_person_folders(wanted, faces_dir), faces_dir, erased, kept, archives)


def forget(names: Collection[str], where: SearchedFolders) -> PersonTraces:
    """Remove some people's photos and folders, and the recordings to erase that hold any of them; what `find` found.

    After this, train the gallery again, then call `forget_earlier_version`; `traces` and `elsewhere` report what is
    left. After an interruption it can be repeated. Raises what `find` raises, before anything is removed, and UserError
    where something can't be removed.
    """
    found = find(names, where)
    for events in found.recordings or ():
        with changing(events.parent):
            for path in recordings.beside(events):
                path.unlink()
            events.unlink()  # last: only this file says whom the videos show
    with changing(where.faces):
        for folder in found.folders:
            removal.erase(folder)
    return found


def forget_earlier_version(where: SearchedFolders) -> None:
    """Erase the gallery that `jetstream train --rollback` would go back to, and those of other networks, which are made
    again from the photos when they are used: forgotten people are in them."""
    in_use = gallery_dir(where.faces, where.models, where.network)
    train.drop_previous(in_use)
    for folder in gallery_dirs(where.faces, where.models):
        if folder != in_use:
            with store.locked(folder):
                store.drop(folder)


def remains(names: Collection[str], where: SearchedFolders) -> list[Remains]:
    """All places that still hold these people, except recordings that stay. Empty after a complete `forget`."""
    left = traces(names, where)
    return ([Remains(left, "remove these by hand")] if left else []) + elsewhere(names, where)


def traces(names: Collection[str], where: SearchedFolders) -> list[Path]:
    """What still holds these people in the folders to erase from: recordings, photo folders, manifest, classifier."""
    wanted = set(map(recordings.normal, names))
    left = recordings.of(wanted, where.recordings) if where.recordings is not None else []
    left += _person_folders(wanted, where.faces)
    left += _namesakes(wanted, where.faces)
    return left + _traces_of(where.faces, where.models, wanted)


def elsewhere(names: Collection[str], where: SearchedFolders) -> list[Remains]:
    """What holds these people in other folders: galleries of other folders of faces, and the running pipeline's.

    Raises UserError where a folder can't be read.
    """
    wanted = set(map(recordings.normal, names))
    searched = set(map(os.path.realpath, gallery_dirs(where.faces, where.models)))
    left = []
    if where.running is not None:
        faces, models = where.running
        searched.update(map(os.path.realpath, gallery_dirs(faces, models)))
        paths = _person_folders(wanted, faces) + _traces_of(faces, models, wanted)
        options = f"--faces {faces} --set models.dir={models}"
        left.append(Remains(paths, f"of the running pipeline: run `jetstream forget` again with {options}"))
    for root in _galleries(where):
        for folder in _folders_in(root):
            if os.path.realpath(folder) not in searched:
                remedy = "of another folder of faces: run `jetstream forget` again with --faces and that folder"
                remedy = f"{remedy}; if that folder no longer exists, remove {folder}"
                left.append(Remains(_traces_in(folder, wanted), remedy))
    return [remains for remains in left if remains.paths]


def verified(found: PersonTraces, where: SearchedFolders) -> list[Path]:
    """The folders that `remains` has searched and, if it is empty, found to be free of the people of `found`.

    Without those in which an original stays.
    """
    seen = [where.faces, *_galleries(where), *([where.recordings] if where.recordings is not None else [])]
    if where.running is not None:
        seen.append(where.running[0])
    seen += [folder for folder in where.kept_recordings if folder not in found.kept]
    stay = [os.path.realpath(path) for original in found.originals for path in original.where]
    return [
        folder
        for folder in _different(seen)
        if not any(removal.is_within(path, os.path.realpath(folder)) for path in stay)
    ]


def not_searched(where: SearchedFolders) -> list[str]:
    """A sentence for each folder that wasn't searched: people's that can't be read, folders among recordings, and
    what restores have kept."""
    said = [
        f"{where.faces}/{name}: is not searched, because it can't be read ({why})"
        for name, why in layout.unreadable(where.faces).items()
    ]
    for root in (where.recordings, *where.kept_recordings):
        for folder in _folders_in(root) if root is not None else ():
            remedy = f"run `jetstream forget` with --recordings {folder}"
            said.append(f"{folder}: is not searched; if recordings are in it, {remedy}")
    return [*said, *kept_by_restores(where.faces)]


def kept_by_restores(folder: Path) -> list[str]:
    """A sentence for each copy of `folder` that a restore has kept."""
    kept = removal.kept_by_restores(folder)
    return [f"{path}: is not searched; it is what a restore has replaced, so erase it" for path in kept]


def _is_missing(folder: Path) -> bool:
    """Whether there is no such folder. False for one that can't be read, since it may hold the people."""
    try:
        os.scandir(folder).close()
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:
        pass
    return False


def _galleries(where: SearchedFolders) -> list[Path]:
    """Folders of galleries: in the models folder to erase from, then in the running pipeline's."""
    pairs = [(where.faces, where.models), *([where.running] if where.running is not None else [])]
    roots = [models / "galleries" for _, models in pairs]
    return _different(roots)


def _different(folders: Sequence[Path]) -> list[Path]:
    """Each folder once, under its first path."""
    return list({os.path.realpath(folder): folder for folder in reversed(folders)}.values())[::-1]


def _folders_in(root: Path) -> list[Path]:
    if _is_missing(root):
        return []
    try:
        return sorted(folder for folder in root.iterdir() if folder.is_dir())
    except OSError as error:
        raise UserError(
            f"{root}: can't be read ({error.strerror}), so it can't be searched; make it readable"
        ) from None


def _person_folders(wanted: Collection[str], faces_dir: Path) -> list[Path]:
    """The folders of these people's photos. Raises UserError where `faces_dir` can't be read."""
    photos.list_photos(faces_dir)  # raises the UserError
    return [folder for folder in person_folders(faces_dir) if recordings.normal(folder.name) in wanted]


def _namesakes(wanted: Collection[str], faces_dir: Path) -> list[Path]:
    """Folders of these people deeper in the faces folder or in one that isn't learnt, and pictures with their names."""
    if not faces_dir.is_dir():
        return []
    found = [path for path in faces_dir.iterdir() if not path.is_dir() and recordings.normal(path.stem) in wanted]
    for root, folders, _ in os.walk(faces_dir):
        if Path(root) != faces_dir:
            found += [Path(root, name) for name in folders if recordings.normal(name) in wanted]
    return sorted(found)


def _archives(folder: Path) -> list[Path]:
    """The files of a gallery."""
    try:
        return sorted(path for path in folder.iterdir() if path.name != store.LOCK and not path.is_dir())
    except OSError:
        return []


def _real(faces: Path, models: Path) -> tuple[str, str]:
    return os.path.realpath(faces), os.path.realpath(models)


def _traces_of(faces: Path, models: Path, wanted: Collection[str]) -> list[Path]:
    """What all galleries of `faces` still hold of `wanted`."""
    return [path for folder in gallery_dirs(faces, models) for path in _traces_in(folder, wanted)]


def _traces_in(folder: Path, wanted: Collection[str]) -> list[Path]:
    """Files of a gallery's folder that hold one of `wanted`, or whose content is unknown."""
    if _is_missing(folder):
        return []
    left = []
    known = {store.LOCK, store.MANIFEST, store.PREVIOUS}
    try:
        there = {path.name for path in folder.iterdir()}
    except OSError:
        return [folder]
    for version in sorted(there & {store.MANIFEST, store.PREVIOUS}):
        try:
            manifest, arrays = store.read(folder, version)
        except ModelError:  # damaged, or unreadable
            left.append(folder / version)
            continue
        known.add(manifest.archive)
        if not _people_of(manifest).isdisjoint(wanted):
            left.append(folder / version)
        if not set(map(str, arrays.get("names", ()))).isdisjoint(wanted):
            left.append(folder / manifest.archive)
    return left + [folder / name for name in sorted(there - known)]


def _people_in_gallery(where: SearchedFolders) -> set[str]:
    """The people in the gallery in use and in the one before it, with or without photos now."""
    names: set[str] = set()
    for folder in gallery_dirs(where.faces, where.models):
        for version in (store.MANIFEST, store.PREVIOUS):
            with contextlib.suppress(OSError, ModelError):  # training replaces a damaged version and does not keep it
                names |= _people_of(store.read_manifest(folder, version))
    return names


def _people_of(manifest: store.Manifest) -> set[str]:
    return {*manifest.people, *(record.person for record in manifest.photos if record.person)}
