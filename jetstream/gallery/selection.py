"""The choice of the photos that a gallery is trained on: a record for each photo, and notes on each person.

Knows no classifier and no file. `vision.recognition.curation` has the rules that refuse a photo.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from jetstream.gallery.photo_faces import NO_ACCESS, UNREADABLE, PhotoFace
from jetstream.gallery.photos import Photo, PhotoListing, PhotoStamp
from jetstream.gallery.store import PersonNotes, PhotoRecord, PhotoWarning, StoredGallery
from jetstream.vision.recognition import curation
from jetstream.vision.recognition.counter_examples import CounterLooks
from jetstream.vision.recognition.curation import LOOKS_LIKE, SAME_PICTURE, PersonSpread, PhotoJudgement
from jetstream.vision.recognition.embedding_space import EmbeddingSpace
from jetstream.vision.recognition.quality import NOTHING

ONE_PHOTO, WIDE, ALIKE, CLOSE = "one_photo", "wide", "alike", "close"

# The spread of 99 of 100 people is less than WIDE_SPREAD + WIDER_WITH_FEW / photos: 0.46 with two, 0.42 with many. With
# two people's photos in one folder, more than nine of ten have a wider spread; half have over 0.5.
WIDE_SPREAD: Final = 0.41
WIDER_WITH_FEW: Final = 0.1
# Five clips of a talking head, each from one camera, have a spread of 0.16 to 0.2: more such photos add nothing.
ALIKE_SPREAD: Final = 0.13
ALIKE_FROM: Final = 3
# Mean embeddings of different people are 0.46 and more apart, those of samples of one person up to 0.4 (see
# `vision.recognition.sample_selection`).
CLOSE_BY: Final = 0.4


class PhotoSelection(NamedTuple):
    """A record for each photo, the people's first; a note for each person with a usable photo; the arrays of rows."""

    records: tuple[PhotoRecord, ...]
    notes: tuple[PersonNotes, ...]
    arrays: dict[str, NDArray[Any]]  # embeddings (N, D), spare (S, D), thumbs (N + S, 256)

    @property
    def persons(self) -> list[str]:
        """The person of each row of `embeddings`."""
        return [record.person for record in self.records if record.row is not None]

    @property
    def negatives(self) -> NDArray[np.float32]:
        """(K, D) float32 embeddings of the strangers' photos."""
        rows = [r.spare for r in self.records if not r.person and r.refused is None and r.spare is not None]
        return np.asarray(self.arrays["spare"][rows], np.float32)

    @property
    def counter_looks(self) -> CounterLooks:
        """Of the people who can be recognised, in the order of `used_counter_examples`."""
        used = used_counter_examples(self.records)
        rows = [record.spare for record in used if record.spare is not None]
        return CounterLooks(np.asarray(self.arrays["spare"][rows], np.float32), [record.person for record in used])


def used_counter_examples(records: Sequence[PhotoRecord]) -> list[PhotoRecord]:
    """Those of the people who can be recognised, without the refused ones."""
    known = {record.person for record in records if record.row is not None}
    return [
        record
        for record in records
        if record.counter_example and record.person in known and record.refused is None and record.spare is not None
    ]


def select(
    listing: PhotoListing, stamps: Sequence[PhotoStamp], by_sha256: Mapping[str, PhotoFace], space: EmbeddingSpace
) -> PhotoSelection:
    """Choose the photos to train on.

    `stamps` has one for each photo in `listing.everything`; `by_sha256` maps a photo's content hash to its face, whose
    embeddings are of `space`.
    """
    photos = listing.everything
    faces = [
        by_sha256.get(stamp.sha256, PhotoFace(0, refused=UNREADABLE if stamp.is_read else NO_ACCESS))
        for stamp in stamps
    ]
    usable = [
        i for i, (photo, face) in enumerate(zip(photos, faces, strict=True)) if _may_teach(photo) and _is_embedded(face)
    ]
    people = sorted({photos[i].person for i in usable})
    number = {name: index for index, name in enumerate(people)}
    owners = np.array([number[photos[i].person] for i in usable], np.intp)
    embeddings = _stacked([faces[i] for i in usable], space)
    thumbs = _thumbs([faces[i] for i in usable])
    judgement = curation.judge(owners, embeddings, [faces[i].quality or NOTHING for i in usable], thumbs, space)
    codes = {
        usable[photo]: f"{code}:{people[judgement.like[photo]]}" if code == LOOKS_LIKE else code
        for photo, code in judgement.refused.items()
    }
    used = [row for row in range(len(usable)) if row not in judgement.refused]
    spreads = curation.spreads(owners[used], embeddings[used], len(people), space)
    warnings = _warnings_by_person(judgement, [photos[i] for i in usable], people)
    counts = np.bincount(owners[used], minlength=len(people)).tolist()
    notes = tuple(
        _notes(name, spread, count, warnings[name], people, space)
        for name, spread, count in zip(people, spreads, counts, strict=True)
    )
    codes |= _known_after_all(photos, faces, [usable[row] for row in used], embeddings[used], space)
    return _with_rows(photos, stamps, faces, codes, notes, space)


def stored_faces(stored: StoredGallery) -> dict[str, PhotoFace]:
    """The faces stored in a gallery, by the photo's content hash.

    Leaves out photos without an embedding, so that they are tried again: that costs little, and detectors get better.
    """
    arrays = stored.arrays
    rows = np.concatenate([arrays["embeddings"], arrays["spare"]])
    faces = {}
    for record in stored.manifest.photos:
        row = _row(record, len(arrays["embeddings"]))
        if row is not None:
            faces[record.sha256] = PhotoFace(
                record.faces, rows[row], quality=record.quality, thumb=np.asarray(arrays["thumbs"][row], np.uint8)
            )
    return faces


def is_whole(stored: StoredGallery, space: EmbeddingSpace) -> bool:
    """Whether the arrays have exactly the rows that the records name."""
    arrays, records = stored.arrays, stored.manifest.photos
    if not {"embeddings", "spare", "thumbs"} <= arrays.keys():
        return False
    embeddings, spare, thumbs = arrays["embeddings"], arrays["spare"], arrays["thumbs"]
    rows = sorted(row for record in records if (row := _row(record, len(embeddings))) is not None)
    return (
        embeddings.shape[1:] == spare.shape[1:] == (space.size,)
        and rows == list(range(len(embeddings) + len(spare)))
        and thumbs.shape == (len(rows), curation.THUMB_PX**2)
    )


def _row(record: PhotoRecord, rows: int) -> int | None:
    """A record's row in `thumbs`, where those of the `rows` photos trained on come first; None without one."""
    return record.row if record.spare is None else rows + record.spare


def _is_embedded(face: PhotoFace) -> bool:
    return face.embedding is not None


def _may_teach(photo: Photo) -> bool:
    """Whether it is meant to show its person."""
    return bool(photo.person) and not photo.is_counter_example


def _known_after_all(
    photos: Sequence[Photo],
    faces: Sequence[PhotoFace],
    used: Sequence[int],
    embeddings: NDArray[np.float32],
    space: EmbeddingSpace,
) -> dict[int, str]:
    """Codes of the strangers' pictures that show a known person, and of the counter-examples that show the person
    themselves: they would make that person unknown."""
    codes = {}
    for index, (photo, face) in enumerate(zip(photos, faces, strict=True)):
        if not _may_teach(photo) and face.embedding is not None and len(used):
            distances = np.linalg.norm(embeddings - face.embedding, axis=1)
            if photo.person:
                distances[[photos[other].person != photo.person for other in used]] = np.inf
            if distances.min() <= space.at(curation.SURELY_SAME):
                codes[index] = f"{LOOKS_LIKE}:{photos[used[int(distances.argmin())]].person}"
    return codes


def _warnings_by_person(
    judgement: PhotoJudgement, photos: Sequence[Photo], people: Sequence[str]
) -> defaultdict[str, list[PhotoWarning]]:
    found: defaultdict[str, list[PhotoWarning]] = defaultdict(list)
    for doubt in judgement.doubts:
        code = doubt.code
        if code == LOOKS_LIKE:
            code += f":{people[doubt.other]}"
        elif code == SAME_PICTURE:
            code += f":{photos[doubt.other].file}"
        found[photos[doubt.photo].person].append(PhotoWarning(code, photos[doubt.photo].file))
    return found


def _notes(
    name: str,
    spread: PersonSpread,
    used: int,
    photo_warnings: Sequence[PhotoWarning],
    people: Sequence[str],
    space: EmbeddingSpace,
) -> PersonNotes:
    other = None if spread.nearest is None else people[spread.nearest]
    warnings = list(photo_warnings)
    if used == 1:
        warnings.append(PhotoWarning(ONE_PHOTO))
    if spread.own is not None and spread.own > space.at(WIDE_SPREAD + WIDER_WITH_FEW / used):
        warnings.append(PhotoWarning(WIDE))
    if spread.own is not None and spread.own < space.at(ALIKE_SPREAD) and used >= ALIKE_FROM:
        warnings.append(PhotoWarning(ALIKE))
    if spread.apart is not None and spread.apart < space.at(CLOSE_BY):
        warnings.append(PhotoWarning(f"{CLOSE}:{other}"))
    own, distance = (None if value is None else round(value, 3) for value in (spread.own, spread.distance))
    return PersonNotes(name, own, other, distance, tuple(warnings))


def _with_rows(
    photos: Sequence[Photo],
    stamps: Sequence[PhotoStamp],
    faces: Sequence[PhotoFace],
    codes: Mapping[int, str],
    notes: tuple[PersonNotes, ...],
    space: EmbeddingSpace,
) -> PhotoSelection:
    learnt: list[PhotoFace] = []
    spare: list[PhotoFace] = []
    records = []
    for index, (photo, stamp, face) in enumerate(zip(photos, stamps, faces, strict=True)):
        rows = learnt if _may_teach(photo) and index not in codes else spare
        row = None
        if face.embedding is not None:
            row = len(rows)
            rows.append(face)
        records.append(
            PhotoRecord(
                photo.person,
                photo.file,
                *stamp[:3],
                faces=face.faces,
                row=row if rows is learnt else None,
                refused=codes.get(index, face.refused),
                spare=row if rows is spare else None,
                quality=face.quality,
                kept=not stamp.is_read,
                counter_example=photo.is_counter_example,
            )
        )
    arrays: dict[str, NDArray[Any]] = {
        "embeddings": _stacked(learnt, space),
        "spare": _stacked(spare, space),
        "thumbs": _thumbs(learnt + spare),
    }
    return PhotoSelection(tuple(records), notes, arrays)


def _stacked(faces: Sequence[PhotoFace], space: EmbeddingSpace) -> NDArray[np.float32]:
    return np.array([face.embedding for face in faces], np.float32).reshape(len(faces), space.size)


def _thumbs(faces: Sequence[PhotoFace]) -> NDArray[np.uint8]:
    return np.array([face.thumb for face in faces], np.uint8).reshape(len(faces), curation.THUMB_PX**2)
