"""Nobody is asked of a gallery that knows the photo."""

from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from jetstream.evaluation import cross_validation
from jetstream.evaluation.cross_validation import GalleryRows
from jetstream.vision.recognition.classifier import Classifier
from tests.support import defaults


def people_around(photos: dict[str, int], seed: int = 0) -> GalleryRows:
    """Embeddings of people at 0.9 from one another, each with photos at about 0.4 from the middle."""
    random = np.random.default_rng(seed)
    rows, names = [], []
    for name, count in photos.items():
        middle = random.normal(0, 0.9 / np.sqrt(256), 128)
        rows += [middle + random.normal(0, 0.4 / np.sqrt(128), 128) for _ in range(count)]
        names += [name] * count
    files = tuple(f"{name}/{row}.jpg" for row, name in enumerate(names))
    return GalleryRows(np.array(rows, np.float32), tuple(names), files)


def plain_fit(embeddings: NDArray[np.float32], people: Sequence[str]) -> Classifier:
    return defaults.fit(embeddings, people)


@pytest.mark.parametrize("photos", [{"Ada": 5, "Bob": 3, "Cy": 1}, {"Ada": 40, "Bob": 30, "Cy": 2}])
def test_nobody_is_asked_of_a_gallery_that_saw_the_photo(photos: dict[str, int]) -> None:
    sample = people_around(photos)
    learnt: list[tuple[set[bytes], set[str]]] = []

    def fit(embeddings: NDArray[np.float32], people: Sequence[str]) -> Classifier:
        learnt.append(({row.tobytes() for row in embeddings}, set(people)))
        return defaults.fit(embeddings, people)

    parts = [(rows, True) for rows in cross_validation.folds(sample.people)]
    parts += [(rows, False) for rows in cross_validation.groups(sample.people)]
    cross_validation.cross_validate(sample, fit)

    assert len(learnt) == len(parts)
    for (rows, known), (seen, people) in zip(parts, learnt, strict=True):
        assert not seen & {sample.embeddings[row].tobytes() for row in rows}
        assert {sample.people[row] in people for row in rows} == {known}
    asked_known = sorted(row for rows, known in parts if known for row in rows.tolist())
    assert asked_known == [row for row, name in enumerate(sample.people) if name != "Cy" or photos["Cy"] > 1]
    asked_as_strangers = sorted(row for rows, known in parts if not known for row in rows.tolist())
    assert asked_as_strangers == list(range(len(sample.people)))


def test_answers_are_those_of_a_gallery_without_each_photo() -> None:
    sample = people_around({"Ada": 4, "Bob": 3, "Cy": 2, "Di": 1})
    names = np.array(sample.people)
    found = cross_validation.cross_validate(sample, plain_fit)

    for row, name in enumerate(sample.people):
        without_photo = np.arange(len(names)) != row
        for known, kept in ((True, without_photo), (False, names != name)):
            (answer,) = defaults.fit(sample.embeddings[kept], names[kept].tolist()).ask(sample.embeddings[[row]])
            same = [one for one in found if one.file == sample.files[row] and one.known == known]
            assert [one.name for one in same] == ([answer.name] if name != "Di" or not known else [])
    nearest = {one.photo for one in found if one.photo is not None}
    assert nearest <= set(sample.files)
    assert all(one.photo != one.file for one in found)
    for one in found:
        if one.photo is not None:
            mine = [r for r, n in enumerate(sample.people) if n == one.nearest and sample.files[r] != one.file]
            row = sample.files.index(one.file)
            distances = np.linalg.norm(sample.embeddings[mine] - sample.embeddings[row], axis=1)
            assert one.photo == sample.files[mine[int(distances.argmin())]]


def test_many_people_are_left_out_in_a_bounded_number_of_groups() -> None:
    names = [f"{number}" for number in range(1000) for _ in range(3)]

    assert len(cross_validation.folds(names)) == cross_validation.FOLDS
    groups = cross_validation.groups(names)
    assert len(groups) == cross_validation.GROUPS
    assert sorted(np.concatenate(groups).tolist()) == list(range(3000))
    assert any("1000 people were left out in 20 groups" in note for note in cross_validation.notes(people_of(names)))


def people_of(names: list[str]) -> GalleryRows:
    return GalleryRows(np.zeros((len(names), 128), np.float32), tuple(names), tuple(names))


@pytest.mark.parametrize(
    ("photos", "known", "strangers"),
    [({"Ada": 1}, 0, 0), ({"Ada": 3}, 3, 0), ({"Ada": 1, "Bob": 1}, 0, 2), ({"Ada": 2, "Bob": 1}, 2, 3)],
)
def test_small_galleries_are_asked_what_they_can_be(photos: dict[str, int], known: int, strangers: int) -> None:
    found = cross_validation.cross_validate(people_around(photos), plain_fit)

    assert sum(one.known for one in found) == known
    assert sum(not one.known for one in found) == strangers
