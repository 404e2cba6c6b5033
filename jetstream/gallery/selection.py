"""Looks at photos to a gallery's records: which photos are learnt from, why others aren't, what is odd about a person.

Knows no classifier and no folder of a gallery. What speaks for and against a photo is `vision/curate.py`'s to say.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from jetstream.gallery.photo_faces import UNREADABLE, PhotoFace
from jetstream.gallery.photos import Photo, PhotoListing, PhotoStamp
from jetstream.gallery.store import PersonNotes, PhotoRecord, PhotoWarning, StoredGallery
from jetstream.vision.recognition import curation
from jetstream.vision.recognition.curation import LOOKS_LIKE, SAME_PICTURE, PersonSpread, PhotoJudgement
from jetstream.vision.recognition.embedder import EMBEDDING_SIZE
from jetstream.vision.recognition.quality import NOTHING

ONE_PHOTO, WIDE, ALIKE, CLOSE = "one_photo", "wide", "alike", "close"

# 99 of 100 people spread over less than this, plus the second over the photos: 0.46 with two, 0.42 with many. Of two
# people's photos in one folder more than nine in ten spread wider; half do over 0.5.
WIDE_SPREAD: Final = 0.41
WIDER_WITH_FEW: Final = 0.1
# Five clips of a talking head, each from one camera, spread over 0.16 to 0.2: more photos of that kind add nothing.
ALIKE_SPREAD: Final = 0.13
ALIKE_FROM: Final = 3
# Middles of different people are 0.46 and more apart, those of looks at one person up to 0.4 (see `vision/looks.py`).
CLOSE_BY: Final = 0.4


class PhotoSelection(NamedTuple):
    """A record a photo, the people's first; a note a person with a usable photo; what their rows count."""

    records: tuple[PhotoRecord, ...]
    notes: tuple[PersonNotes, ...]
    arrays: dict[str, NDArray[Any]]  # embeddings (N, 128), spare (S, 128), thumbs (N + S, 256)

    @property
    def persons(self) -> list[str]:
        """Whose each row of `embeddings` is."""
        return [record.person for record in self.records if record.row is not None]

    @property
    def negatives(self) -> NDArray[np.float32]:
        """(K, 128): strangers."""
        rows = [r.spare for r in self.records if not r.person and r.refused is None and r.spare is not None]
        return np.asarray(self.arrays["spare"][rows], np.float32)


def curated(listing: PhotoListing, stamps: Sequence[PhotoStamp], looks: Mapping[str, PhotoFace]) -> PhotoSelection:
    """What to make of `listing.everything`, whose stamps are given, from looks by content hash."""
    photos = listing.everything
    seen = [looks.get(stamp.sha256, PhotoFace(0, refused=UNREADABLE)) for stamp in stamps]
    usable = [i for i, (photo, look) in enumerate(zip(photos, seen, strict=True)) if photo.person and _is_whole(look)]
    people = sorted({photos[i].person for i in usable})
    number = {name: index for index, name in enumerate(people)}
    owners = np.array([number[photos[i].person] for i in usable], np.intp)
    embeddings = _stacked([seen[i] for i in usable])
    thumbs = _thumbs([seen[i] for i in usable])
    judged = curation.judge(owners, embeddings, [seen[i].quality or NOTHING for i in usable], thumbs)
    codes = {
        usable[photo]: f"{code}:{people[judged.like[photo]]}" if code == LOOKS_LIKE else code
        for photo, code in judged.refused.items()
    }
    used = [row for row in range(len(usable)) if row not in judged.refused]
    spreads = curation.spreads(owners[used], embeddings[used], len(people))
    warned = _warned(judged, [photos[i] for i in usable], people)
    counts = np.bincount(owners[used], minlength=len(people)).tolist()
    notes = tuple(
        _notes(name, spread, count, warned[name], people)
        for name, spread, count in zip(people, spreads, counts, strict=True)
    )
    codes |= _known_strangers(photos, seen, [usable[row] for row in used], embeddings[used])
    return _with_rows(photos, stamps, seen, codes, notes)


def known(stored: StoredGallery) -> dict[str, PhotoFace]:
    """Content hash to look. Photos without an embedding are looked at again: that costs little, and detectors get
    better."""
    arrays = stored.arrays
    rows = np.concatenate([arrays["embeddings"], arrays["spare"]])
    looks = {}
    for record in stored.manifest.photos:
        row = _row(record, len(arrays["embeddings"]))
        if row is not None:
            looks[record.sha256] = PhotoFace(
                record.faces, rows[row], quality=record.quality, thumb=np.asarray(arrays["thumbs"][row], np.uint8)
            )
    return looks


def is_whole(stored: StoredGallery) -> bool:
    """Whether every row that a record names is there, and no other."""
    arrays, records = stored.arrays, stored.manifest.photos
    if not {"embeddings", "spare", "thumbs"} <= arrays.keys():
        return False
    embeddings, spare, thumbs = arrays["embeddings"], arrays["spare"], arrays["thumbs"]
    rows = sorted(row for record in records if (row := _row(record, len(embeddings))) is not None)
    return (
        embeddings.shape[1:] == spare.shape[1:] == (EMBEDDING_SIZE,)
        and rows == list(range(len(embeddings) + len(spare)))
        and thumbs.shape == (len(rows), curation.THUMB_PX**2)
    )


def _row(record: PhotoRecord, rows: int) -> int | None:
    """Of the thumbnails: those of the `rows` photos learnt from come first."""
    return record.row if record.spare is None else rows + record.spare


def _is_whole(look: PhotoFace) -> bool:
    return look.embedding is not None


def _known_strangers(
    photos: Sequence[Photo], seen: Sequence[PhotoFace], used: Sequence[int], embeddings: NDArray[np.float32]
) -> dict[int, str]:
    """Strangers' pictures that are a known person's, too: learnt as nobody they would cost that person the name."""
    codes = {}
    for index, (photo, look) in enumerate(zip(photos, seen, strict=True)):
        if not photo.person and look.embedding is not None and len(used):
            distances = np.linalg.norm(embeddings - look.embedding, axis=1)
            if distances.min() <= curation.SURELY_SAME:
                codes[index] = f"{LOOKS_LIKE}:{photos[used[int(distances.argmin())]].person}"
    return codes


def _warned(
    judged: PhotoJudgement, photos: Sequence[Photo], people: Sequence[str]
) -> defaultdict[str, list[PhotoWarning]]:
    found: defaultdict[str, list[PhotoWarning]] = defaultdict(list)
    for doubt in judged.doubts:
        code = doubt.code
        if code == LOOKS_LIKE:
            code += f":{people[doubt.other]}"
        elif code == SAME_PICTURE:
            code += f":{photos[doubt.other].file}"
        found[photos[doubt.photo].person].append(PhotoWarning(code, photos[doubt.photo].file))
    return found


def _notes(
    name: str, spread: PersonSpread, used: int, warned: Sequence[PhotoWarning], people: Sequence[str]
) -> PersonNotes:
    other = None if spread.nearest is None else people[spread.nearest]
    warnings = list(warned)
    if used == 1:
        warnings.append(PhotoWarning(ONE_PHOTO))
    if spread.own is not None and spread.own > WIDE_SPREAD + WIDER_WITH_FEW / used:
        warnings.append(PhotoWarning(WIDE))
    if spread.own is not None and spread.own < ALIKE_SPREAD and used >= ALIKE_FROM:
        warnings.append(PhotoWarning(ALIKE))
    if spread.apart is not None and spread.apart < CLOSE_BY:
        warnings.append(PhotoWarning(f"{CLOSE}:{other}"))
    own, distance = (None if value is None else round(value, 3) for value in (spread.own, spread.distance))
    return PersonNotes(name, own, other, distance, tuple(warnings))


def _with_rows(
    photos: Sequence[Photo],
    stamps: Sequence[PhotoStamp],
    seen: Sequence[PhotoFace],
    codes: Mapping[int, str],
    notes: tuple[PersonNotes, ...],
) -> PhotoSelection:
    learnt: list[PhotoFace] = []
    spare: list[PhotoFace] = []
    records = []
    for index, (photo, stamp, look) in enumerate(zip(photos, stamps, seen, strict=True)):
        rows = learnt if photo.person and index not in codes else spare
        row = None
        if look.embedding is not None:
            row = len(rows)
            rows.append(look)
        records.append(
            PhotoRecord(
                photo.person,
                photo.file,
                *stamp,
                faces=look.faces,
                row=row if rows is learnt else None,
                refused=codes.get(index, look.refused),
                spare=row if rows is spare else None,
                quality=look.quality,
            )
        )
    arrays: dict[str, NDArray[Any]] = {
        "embeddings": _stacked(learnt),
        "spare": _stacked(spare),
        "thumbs": _thumbs(learnt + spare),
    }
    return PhotoSelection(tuple(records), notes, arrays)


def _stacked(looks: Sequence[PhotoFace]) -> NDArray[np.float32]:
    return np.array([look.embedding for look in looks], np.float32).reshape(len(looks), EMBEDDING_SIZE)


def _thumbs(looks: Sequence[PhotoFace]) -> NDArray[np.uint8]:
    return np.array([look.thumb for look in looks], np.uint8).reshape(len(looks), curation.THUMB_PX**2)
