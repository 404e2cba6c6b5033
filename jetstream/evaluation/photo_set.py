"""Tests a gallery on a folder of photos: <name>/* of people of the gallery, and any other folder for strangers.

Detects and aligns each photo as training does; knows no video.
"""

import hashlib
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from jetstream.errors import UserError
from jetstream.evaluation.metrics import ProbeResult, probe_result
from jetstream.gallery import photos
from jetstream.gallery.other_files import not_taken
from jetstream.gallery.photo_faces import PhotoFace, Progress, find_faces
from jetstream.gallery.photos import STRANGERS, Photo
from jetstream.vision.detection.detector import Detector
from jetstream.vision.recognition.classifier import Classifier
from jetstream.vision.recognition.embedder import Embedder

ENROLLED = "in_gallery"


class SkippedPhoto(NamedTuple):
    """A photo that wasn't tested: `code` is a refusal code of training, or `in_gallery`."""

    file: str
    code: str


def find(folder: Path, known: Container[str]) -> list[Photo]:
    """Every picture in `folder` with its person.

    Raises UserError when there is no such folder, no picture in it, or no person who is in `known`.
    """
    if not folder.is_dir():
        raise UserError(f"--test {folder}: no such folder; name one with a folder of photos for each person in it")
    listing = photos.list_photos(folder, is_gallery=False)
    found = [photo for photo in listing.photos if photo.person != STRANGERS]
    found += [photo._replace(person=STRANGERS) for photo in listing.unknown or ()]
    if not found:
        raise UserError(
            f"--test {folder}: {_loose_pictures(folder) or 'no picture in it'}; put test photos into {folder}/<name>/"
        )
    if not any(photo.person in known for photo in found):
        raise UserError(
            f"--test {folder}: nobody of the gallery is in it, only {_sample(photo.person for photo in found)}; "
            "name its folders as the people are named in the faces folder"
        )
    return found


def notes(folder: Path, found: Sequence[Photo], known: Sequence[str]) -> list[str]:
    """Sentences about likely mistakes in `folder`: pictures in no person's folder, files that are no photos, and names
    that differ from those of `known` people only in upper and lower case."""
    loose = _loose_pictures(folder)
    lines = [f"Not tested: {loose}."] if loose else []
    if others := list(not_taken(folder, is_gallery=False)):
        count = "1 file or folder is" if len(others) == 1 else f"{len(others)} files or folders are"
        lines.append(f"Not tested: {count} no photo (the first: {others[0].file}: {others[0].why}).")
    spelt = {name.casefold(): name for name in known}
    for person in sorted({photo.person for photo in found}.difference(known)):
        if (name := spelt.get(person.casefold())) is not None:
            lines.append(f"{folder}/{person} was tested as a stranger: the gallery has {name}, spelt differently.")
    return lines


def ask(
    found: list[Photo],
    classifier: Classifier,
    files: tuple[str, ...],
    enrolled_sha256: Container[str],
    networks: tuple[Detector, Embedder],
    progress: Progress | None = None,
) -> tuple[list[ProbeResult], list[SkippedPhoto]]:
    """The results for the largest face of each photo, and the photos left out: enrolled ones, or without a usable face.

    `files` are the files of the rows that the classifier was trained on.
    """
    left_out = [SkippedPhoto(photo.file, ENROLLED) for photo in found if _sha256(photo.path) in enrolled_sha256]
    enrolled = {file for file, _ in left_out}
    asked_for = {photo.file: photo for photo in found if photo.file not in enrolled}
    faces = find_faces(asked_for, *networks, progress)
    left_out += [
        SkippedPhoto(file, face.refused or "no_face") for file, face in faces.items() if face.embedding is None
    ]
    return list(_answers(asked_for, faces, classifier, files)), left_out


def _answers(
    asked_for: Mapping[str, Photo], faces: Mapping[str, PhotoFace], classifier: Classifier, files: tuple[str, ...]
) -> Iterator[ProbeResult]:
    for file, face in faces.items():
        if face.embedding is None:
            continue
        (answer,) = classifier.ask(face.embedding[np.newaxis])
        person = asked_for[file].person
        photo = None if answer.photo is None else files[answer.photo]
        yield probe_result(file, person, answer, known=person in classifier.names, photo=photo)


def _loose_pictures(folder: Path) -> str:
    """`3 pictures are in no person's folder (a.jpg, ...)`; empty if there is none."""
    strays = photos.list_photos(folder).strays
    if not strays:
        return ""
    count = "1 picture is" if len(strays) == 1 else f"{len(strays)} pictures are"
    return f"{count} in no person's folder ({_sample(strays)})"


def _sha256(path: Path) -> str:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError:
        return ""  # `find_faces` reports that it can't be read


def _sample(names: Iterable[str]) -> str:
    found = sorted(set(names))
    return ", ".join(found[:5]) + (f" and {len(found) - 5} more" if len(found) > 5 else "")
