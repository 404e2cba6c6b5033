"""A folder of test photos asked: <name>/* of people of the gallery, and any other folder for strangers.

Sees each photo as enrolment does; knows no video.
"""

import hashlib
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from jetstream.errors import UserError
from jetstream.evaluation.metrics import ProbeResult, asked_of
from jetstream.gallery import photos
from jetstream.gallery.photo_faces import PhotoFace, Progress, find_faces
from jetstream.gallery.photos import STRANGERS, Photo
from jetstream.video.images import list_images
from jetstream.vision.detection.detector import Detector
from jetstream.vision.recognition.classifier import Classifier
from jetstream.vision.recognition.embedder import Embedder

ENROLLED = "in_gallery"


class SkippedPhoto(NamedTuple):
    """A photo that wasn't asked: a code of enrolment, or `in_gallery`."""

    file: str
    code: str


def find(folder: Path, known: Container[str]) -> list[Photo]:
    """Every picture with the person it shows. Raises UserError: no such folder, no picture, nobody who is `known`."""
    if not folder.is_dir():
        raise UserError(f"--test {folder}: no such folder; name one with a folder of photos for each person in it")
    found = [photo for photo in photos.list_photos(folder).photos if photo.person != STRANGERS]
    found += _unnamed(folder / STRANGERS)
    if not found:
        raise UserError(
            f"--test {folder}: {_loose(folder) or 'no picture in it'}; put test photos into {folder}/<name>/"
        )
    if not any(photo.person in known for photo in found):
        raise UserError(
            f"--test {folder}: nobody of the gallery is in it, only {_some(photo.person for photo in found)}; "
            "name its folders as the people are named in the faces folder"
        )
    return found


def notes(folder: Path, found: Sequence[Photo], known: Sequence[str]) -> list[str]:
    """What may be meant otherwise than it was understood, a sentence each: pictures in no person's folder, names that
    differ from those of `known` people in upper and lower case alone."""
    loose = _loose(folder)
    told = [f"Not asked: {loose}."] if loose else []
    spelt = {name.casefold(): name for name in known}
    for person in sorted({photo.person for photo in found}.difference(known)):
        if (name := spelt.get(person.casefold())) is not None:
            told.append(f"{folder}/{person} was taken for strangers: the gallery knows {name}, spelt otherwise.")
    return told


def ask(
    found: list[Photo],
    classifier: Classifier,
    files: tuple[str, ...],
    enrolled_sha256: Container[str],
    networks: tuple[Detector, Embedder],
    progress: Progress | None = None,
) -> tuple[list[ProbeResult], list[SkippedPhoto]]:
    """The answer to each photo's largest face, and the photos left out: without a usable face, or enrolled themselves.

    `files` are those of the rows that the classifier learnt from.
    """
    left_out = [SkippedPhoto(photo.file, ENROLLED) for photo in found if _sha256(photo.path) in enrolled_sha256]
    enrolled = {file for file, _ in left_out}
    asked_for = {photo.file: photo for photo in found if photo.file not in enrolled}
    looks = find_faces(asked_for, *networks, progress)
    left_out += [
        SkippedPhoto(file, look.refused or "no_face") for file, look in looks.items() if look.embedding is None
    ]
    return list(_answers(asked_for, looks, classifier, files)), left_out


def _answers(
    asked_for: Mapping[str, Photo], looks: Mapping[str, PhotoFace], classifier: Classifier, files: tuple[str, ...]
) -> Iterator[ProbeResult]:
    for file, look in looks.items():
        if look.embedding is None:
            continue
        (answer,) = classifier.ask(look.embedding[np.newaxis])
        person = asked_for[file].person
        photo = None if answer.photo is None else files[answer.photo]
        yield asked_of(file, person, answer, known=person in classifier.names, photo=photo)


def _loose(folder: Path) -> str:
    """`3 pictures lie in no person's folder (a.jpg, ...)`; empty where there is none."""
    strays = photos.list_photos(folder).strays
    if not strays:
        return ""
    lie = "1 picture lies" if len(strays) == 1 else f"{len(strays)} pictures lie"
    return f"{lie} in no person's folder ({_some(strays)})"


def _unnamed(folder: Path) -> list[Photo]:
    """The faces folder's list leaves out what starts with `_`."""
    pictures = list_images(folder) if folder.is_dir() else []
    return [Photo(STRANGERS, f"{STRANGERS}/{path.name}", path) for path in pictures]


def _sha256(path: Path) -> str:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError:
        return ""  # `find_faces` will say that it can't be read


def _some(names: Iterable[str]) -> str:
    found = sorted(set(names))
    return ", ".join(found[:5]) + (f" and {len(found) - 5} more" if len(found) > 5 else "")
