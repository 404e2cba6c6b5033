import numpy as np
import pytest

from jetstream.vision.recognition import svm
from jetstream.vision.recognition.embedding_space import DLIB_SPACE


def people_of(people: int, photos: int, within: float = 0.03, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """(people * photos, 128) invented embeddings and whose each is."""
    random = np.random.default_rng(seed)
    middles = random.normal(0, 0.055, (people, 1, 128))
    embeddings = middles + random.normal(0, within, (people, photos, 128))
    return embeddings.reshape(-1, 128).astype(np.float32), np.repeat(np.arange(people, dtype=np.int32), photos)


def likeliest(machine: svm.OneVsRestSvm, faces: np.ndarray, photos: np.ndarray) -> np.ndarray:
    everybody = np.tile(np.arange(len(machine.biases)), (len(faces), 1))
    return machine.scores(faces, photos, everybody).argmax(axis=1)


@pytest.mark.parametrize("photos", [1, 2, 6])
@pytest.mark.parametrize("people", [2, 3, 40, 250])
def test_new_photos_of_known_people_are_told_apart(people, photos):
    everything, owners = people_of(people, photos + 3)
    is_learnt = np.tile(np.arange(photos + 3) < photos, people)
    machine = svm.train(everything[is_learnt], owners[is_learnt], people, DLIB_SPACE)

    answers = likeliest(machine, everything[~is_learnt], everything[is_learnt])

    assert np.mean(answers == owners[~is_learnt]) > 0.97


def test_kernel_is_taken_where_planes_fail_and_answers_as_scikit_learn_does():
    """Ann's photos are a ring around Bob's: no plane parts them."""
    from sklearn.svm import SVC

    random = np.random.default_rng(0)
    ring = random.normal(0, 1, (40, 128))
    ring *= 0.6 / np.linalg.norm(ring[:, :2], axis=1, keepdims=True)
    ring[:, 2:] = 0
    ring = np.concatenate([ring, random.normal(0, 0.005, (40, 128))]).astype(np.float32)
    owners = np.repeat(np.arange(2, dtype=np.int32), 40)

    machine = svm.train(ring, owners, 2, DLIB_SPACE)
    rival = SVC(C=10, gamma=machine.gamma, class_weight="balanced").fit(ring, owners)
    asked = (ring + random.normal(0, 0.002, ring.shape)).astype(np.float32)
    scores = machine.scores(asked, ring, np.tile([0, 1], (80, 1)))

    assert machine.how.startswith("rbf")
    assert (likeliest(machine, asked, ring) == owners).all()
    assert scores[:, 1] == pytest.approx(rival.decision_function(asked), abs=2e-2)


def test_simplest_setting_is_kept_where_others_are_no_better():
    photos, owners = people_of(6, 5)

    machine = svm.train(photos, owners, 6, DLIB_SPACE)

    assert machine.how == "linear SVM, C 1"
    assert machine.gamma == 0.0
    assert machine.weights.shape == (6, 128)


def test_folds_ask_each_photo_once_and_never_a_person_s_only_one():
    owners = np.array([0, 0, 0, 1, 2, 2, 2, 2, 2, 2, 2], np.int32)

    folds = list(svm._folds(owners))

    assert np.sum(folds, axis=0).tolist() == [1, 1, 1, 0, 1, 1, 1, 1, 1, 1, 1]
    for asked in folds:
        assert set(owners[~asked].tolist()) == {0, 1, 2}


def test_one_person_needs_no_machine():
    machine = svm.train(np.ones((3, 128), np.float32), np.zeros(3, np.int32), 1, DLIB_SPACE)

    assert machine.how == "none needed"
    assert machine.weights.shape == (1, 128)


@pytest.mark.parametrize("second", [0, 1, 10])
def test_hundreds_of_people_with_a_photo_each_and_few_second_ones(second):
    everything, owners = people_of(250, 3)
    photo = np.tile(np.arange(3), 250)
    is_learnt = (photo == 0) | ((photo == 1) & (owners < second))

    machine = svm.train(everything[is_learnt], owners[is_learnt], 250, DLIB_SPACE)

    assert np.abs(machine.weights).max() < 1e4
    assert np.mean(likeliest(machine, everything[photo == 2], everything[is_learnt]) == owners[photo == 2]) > 0.97


def test_as_many_photos_of_each_person_are_learnt_from_as_most_have():
    owners = np.repeat(np.arange(4, dtype=np.int32), [40, 2, 3, 9])

    kept = svm._evened(owners)

    assert np.bincount(owners[kept]).tolist() == [8, 2, 3, 8]
    assert {0, 39} <= set(kept.tolist())
