"""Groups of strangers, of people drawn like a network's strangers."""

import itertools

import numpy as np
import pytest

from jetstream.networks.embedders import SPECS
from jetstream.vision.recognition.distances import squared_distances
from jetstream.vision.recognition.embedding_space import SFACE_SPACE, EmbeddingSpace
from jetstream.vision.recognition.stranger_groups import (
    GroupChange,
    MovedSighting,
    StoredSighting,
    StrangerGroups,
)
from jetstream.vision.recognition.stranger_likeness import StrangerLikeness
from tests.support.drawn_people import DrawnPeople, likeness

PEOPLE = DrawnPeople()
LIKENESS = likeness()


def groups() -> StrangerGroups:
    return StrangerGroups(SFACE_SPACE, LIKENESS)


def see(into: StrangerGroups, person: int, number: int, *, looks: int = 2, quality: float = 0.8) -> GroupChange:
    return into.add(f"{person}.{number}", PEOPLE.looks(person, looks, number), np.full(looks, quality))


def between(one: int, other: int, share: float, looks: int = 3) -> np.ndarray:
    """Looks of somebody who is like both: `share` of the way from one person's to another's."""
    return (1 - share) * PEOPLE.looks(one, looks, 70) + share * PEOPLE.looks(other, looks, 71)


def crowd(people: int, sightings: int, seed: int = 0) -> StrangerGroups:
    """Everybody seen some times, in random order."""
    found = groups()
    for step in np.random.default_rng(seed).permutation(people * sightings).tolist():
        see(found, step % people, step // people)
    return found


def test_each_person_is_one_group_in_whatever_order_they_come():
    for seed in range(3):
        found = crowd(30, 4, seed)
        together = [{found.group_of(f"{person}.{number}") for number in range(4)} for person in range(30)]

        assert all(len(ids) == 1 for ids in together)
        assert len(set.union(*together)) == 30


def test_the_same_sightings_in_the_same_order_get_the_same_ids():
    one, other = crowd(12, 3), crowd(12, 3)

    assert [one.group_of(f"{p}.0") for p in range(12)] == [other.group_of(f"{p}.0") for p in range(12)]


def test_first_sighting_founds_a_group_and_the_next_of_the_person_joins_it():
    found = groups()

    assert see(found, 1, 0) == GroupChange("1.0", 1, founded=True)
    assert see(found, 1, 1) == GroupChange("1.1", 1)
    assert see(found, 2, 0) == GroupChange("2.0", 2, founded=True)
    assert found.keys_of(1) == ("1.0", "1.1")


@pytest.mark.parametrize("network", ["sface", "dlib"])
def test_strangers_are_as_near_as_the_threshold_allows_in_the_share_of_pairs_that_it_says(network):
    measured = likeness(network)
    drawn = DrawnPeople(network, seed=5)
    points = measured.place(np.concatenate([drawn.looks(person, 1) for person in range(1500)]))
    squared = squared_distances(points, points)[np.triu_indices(1500, 1)]

    for rate in (1e-3, 2e-4):
        share = (squared <= measured.distance(rate) ** 2).mean()
        # `space.tail` says by how much real strangers' likenesses differ from drawn ones: 8 % and -5 %
        assert rate / 5 < share < 3 * rate


def test_rarity_is_the_logarithm_of_the_rate_at_its_distance():
    for rate in (1e-2, 1e-3, 1e-5):
        assert LIKENESS.rarity(np.array(LIKENESS.distance(rate) ** 2)) == pytest.approx(-np.log(rate), abs=1e-6)


def test_two_groups_that_prove_to_be_one_person_keep_the_older_id():
    found = groups()
    one, other = PEOPLE.looks(1, 40, 0).mean(axis=0), PEOPLE.looks(2, 40, 0).mean(axis=0)
    see(found, 1, 0)
    found.add("far", np.array([0.1 * one + 0.9 * other]), np.ones(1))
    assert found.group_of("far") == 2

    change = found.add("far", PEOPLE.looks(1, 3, 9), np.ones(3))

    assert change.merged == ((2, 1),)
    assert found.group_of("far") == found.group_of("1.0") == 1
    assert found.living(2) == 1
    assert found.aliases == {2: 1}
    assert see(found, 5, 0).group == 3  # the alias isn't given again


def test_replaced_looks_that_show_somebody_else_move_the_sighting():
    found = crowd(2, 3)
    first, second = found.group_of("0.0"), found.group_of("1.0")

    change = found.add("0.1", PEOPLE.looks(1, 3, 20), np.ones(3))

    assert change.group == second
    assert found.group_of("0.0") == found.group_of("0.2") == first
    assert len(found) == 6


def test_replaced_looks_of_the_same_person_change_nothing():
    found = crowd(3, 3)
    before = found.group_of("1.1")

    assert see(found, 1, 1, looks=3, quality=1.0) == GroupChange("1.1", before)


def test_first_mistake_is_undone_when_the_person_is_seen_again():
    found = groups()
    for number in range(4):
        see(found, 1, number)
    assert found.add("early", between(1, 2, 0.55), np.ones(3)).group == 1

    changes = [see(found, 2, number) for number in range(3)]

    assert found.group_of("early") == found.group_of("2.0") != 1
    assert ("early", 1) in [(moved.key, moved.origin) for change in changes for moved in change.moved]


def test_poor_sightings_are_alone_and_pull_nobody_together():
    found = groups()
    see(found, 1, 0)

    assert see(found, 1, 1, quality=0.02).founded
    assert see(found, 1, 2, quality=0.03).founded
    assert see(found, 1, 3).group == 1
    assert len({found.group_of(f"1.{number}") for number in (0, 1, 2)}) == 3


def test_poor_sighting_joins_its_person_once_a_better_look_comes():
    found = groups()
    see(found, 1, 0)
    see(found, 1, 1, quality=0.02)

    assert see(found, 1, 1, quality=0.7).merged == ((2, 1),)


def restored(of: StrangerGroups, people: int, sightings: int) -> StrangerGroups:
    keys = [(person, number) for person, number in itertools.product(range(people), range(sightings))]
    stored = [
        StoredSighting(f"{p}.{n}", of.group_of(f"{p}.{n}"), PEOPLE.looks(p, 2, n), np.full(2, 0.8, np.float32))
        for p, n in keys
    ]
    return StrangerGroups.restored(SFACE_SPACE, LIKENESS, stored, aliases=of.aliases, next_group=of.next_group)


def test_ids_are_the_same_after_a_restart_and_new_ones_go_on():
    before = crowd(10, 3)
    after = restored(before, 10, 3)

    assert all(after.group_of(f"{p}.{n}") == before.group_of(f"{p}.{n}") for p in range(10) for n in range(3))
    for person in (3, 11, 7):
        assert see(after, person, 9) == see(before, person, 9)
    assert after.next_group == before.next_group


def test_restart_gives_no_id_of_a_removed_group_again():
    before = groups()
    see(before, 0, 0)
    see(before, 1, 0)
    assert before.remove("1.0") == 2

    assert see(restored(before, 1, 1), 1, 1).group == 3


def test_restored_refuses_what_can_not_be():
    one = StoredSighting("a", 1, PEOPLE.looks(1, 1), np.ones(1, np.float32))

    with pytest.raises(ValueError, match="'a' comes twice"):
        StrangerGroups.restored(SFACE_SPACE, LIKENESS, [one, one])
    with pytest.raises(ValueError, match="group 1, which was merged"):
        StrangerGroups.restored(SFACE_SPACE, LIKENESS, [one], aliases={1: 2})


def test_removing_the_last_sighting_ends_the_group_alone():
    found = crowd(3, 2)
    group = found.group_of("1.0")

    assert found.remove("1.0") is None
    assert found.remove("1.1") == group
    assert found.keys_of(group) == ()
    assert len(found) == 4
    assert found.keys_of(found.group_of("2.0")) in (("2.0", "2.1"), ("2.1", "2.0"))


def test_pinned_sighting_stays_where_a_person_put_it():
    found = crowd(2, 3)
    first, second = found.group_of("0.0"), found.group_of("1.0")

    assert found.pin("0.2", second).group == second
    for number in range(5, 9):
        see(found, 0, number)

    assert found.group_of("0.2") == second
    assert found.group_of("0.8") == first


def test_two_groups_of_one_person_are_merged_by_hand_and_stay_so():
    found = crowd(2, 3)
    first, second = sorted((found.group_of("0.0"), found.group_of("1.0")))

    assert found.merge(second, first).merged == ((second, first),)
    see(found, 0, 8)
    see(found, 1, 8)

    assert {found.group_of(f"{p}.{n}") for p in range(2) for n in range(3)} == {first}


def test_unknown_sightings_and_groups_are_key_errors():
    found = crowd(1, 2)

    for call in (lambda: found.merge(1, 9), lambda: found.pin("0.0", 9), lambda: found.pin("x", 1)):
        with pytest.raises(KeyError):
            call()
    with pytest.raises(KeyError):
        found.remove("x")
    assert found.merge(1, 1).merged == ()


def test_forbidden_pair_is_never_in_one_group():
    found = groups()
    see(found, 1, 0)
    see(found, 1, 1)

    change = found.forbid("1.1", "1.0")

    assert change is not None
    assert change.founded
    assert found.group_of("1.1") != found.group_of("1.0") == 1
    for number in range(2, 6):
        see(found, 1, number)
    assert found.group_of("1.1") != found.group_of("1.0")


def test_sighting_that_is_not_a_group_does_not_come_back_to_it():
    found = groups()
    for number in range(3):
        see(found, 1, number)

    assert found.forbid("1.2", 1) == GroupChange("1.2", 2, founded=True, moved=(MovedSighting("1.2", 1, 2),))
    see(found, 1, 2, looks=3)

    assert found.group_of("1.2") != 1


def test_people_seen_at_once_are_two_even_where_they_look_alike():
    found = groups()
    see(found, 1, 0)
    assert found.forbid("1.7", "1.0") is None  # told before the sighting comes

    assert see(found, 1, 7).founded


@pytest.mark.parametrize(("looks", "qualities"), [((2, 128), (3,)), ((2, 64), (2,)), ((0, 128), (0,)), ((128,), (1,))])
def test_other_shapes_are_refused(looks, qualities):
    with pytest.raises(ValueError, match="looks: "):
        groups().add("a", np.zeros(looks), np.zeros(qualities))


def test_looks_that_are_not_finite_are_passed_over():
    found = groups()
    see(found, 1, 0)
    looks = PEOPLE.looks(1, 2, 1)
    looks[0] = np.nan

    assert found.add("a", looks, np.ones(2)).group == 1
    with pytest.raises(ValueError, match="at least one must be finite"):
        found.add("b", np.full((1, 128), np.inf), np.ones(1))
    assert len(found) == 2


def test_network_without_strangers_groups_by_the_figures_of_its_space():
    space = SPECS["sface"].space
    found = StrangerGroups(space, StrangerLikeness.of(space, None))
    for person, number in itertools.product(range(10), range(3)):
        looks = PEOPLE.looks(person, 3, number)
        found.add(f"{person}.{number}", looks, np.ones(3))

    assert len({found.group_of(f"{person}.0") for person in range(10)}) == 10
    assert all(found.group_of(f"{p}.0") == found.group_of(f"{p}.1") for p in range(10))


def test_network_of_another_size_is_grouped_by_its_own_strangers():
    random = np.random.default_rng(0)
    space = EmbeddingSpace(512, 0.39, 0.557, 0.665)
    drawn = random.normal(0.02, 0.022, (4000, 512)).astype(np.float32)
    found = StrangerGroups(space, StrangerLikeness.of(space, drawn))
    for person in range(20):
        for number in range(3):
            looks = drawn[person] + random.normal(0, 0.012, (2, 512))
            found.add(f"{person}.{number}", looks, np.ones(2))

    ids = [{found.group_of(f"{person}.{number}") for number in range(3)} for person in range(20)]
    assert all(len(group) == 1 for group in ids)
    assert len(set.union(*ids)) == 20


@pytest.mark.parametrize("seed", range(3))
def test_whatever_is_called_in_whatever_order_all_stays_consistent(seed):
    random, found, ended = np.random.default_rng(seed), groups(), set()
    known: set[str] = set()
    for _ in range(400):
        person, number = (int(value) for value in random.integers(0, (12, 6)))
        key, ids = f"{person}.{number}", sorted({found.group_of(key) for key in known})
        what = random.random()
        if what < 0.7 or key not in known:
            shown = person if random.random() < 0.9 else int(random.integers(12))
            looks = PEOPLE.looks(shown, 2, int(random.integers(50)))
            change = found.add(key, looks, np.full(2, random.choice([0.01, 0.3, 0.9])))
            known.add(key)
            assert found.group_of(key) == change.group
        elif what < 0.8:
            ended |= {found.remove(key)} - {None}
            known.discard(key)
        elif what < 0.87:
            found.pin(key, int(random.choice(ids)))
        elif what < 0.93:
            found.merge(int(random.choice(ids)), int(random.choice(ids)))
        else:
            other = str(random.choice(sorted(known)))
            found.forbid(key, other if other != key else found.group_of(key))
        ids = sorted({found.group_of(key) for key in known})
        assert sorted(key for group in ids for key in found.keys_of(group)) == sorted(known)
        assert not ended & set(ids)
        assert set(found.aliases).isdisjoint(ids)
        assert max(ids, default=0) < found.next_group
