"""What is told of sightings: each change once, in order, over restarts."""

from pathlib import Path

import msgspec
import pytest

from jetstream.config.schema import Config
from jetstream.sighting import SightingMessage
from jetstream.sightings import database, tables
from jetstream.sightings.teller import SightingTeller
from tests.support.fulldisk import files_of_at_most
from tests.support.sightings import IDS, at, config_with, face, record


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return config_with(tmp_path)


class TellerRun:
    """A teller from its start to its end, and what it told."""

    def __init__(self, config: Config) -> None:
        self._teller = SightingTeller(Path(config.sightings.dir))
        self.told: list[SightingMessage] = []
        self._now_s = 0.0

    def look(self) -> list[tuple[int, str]]:
        """What is new."""
        before, self._now_s = len(self.told), self._now_s + 10.0
        self._teller.tell(self.told.append, self._now_s)
        return [(message.seq, message.change) for message in self.told[before:]]

    def end(self) -> None:
        self._teller.close()


def test_changes_are_told_once_and_in_order(config: Config) -> None:
    record(config, [at(0)])
    teller = TellerRun(config)
    assert teller.look() == []

    record(config, [at(0, face(IDS[0])), at(1, face(IDS[0], "Ada"))])

    assert teller.look() == [(1, "enter"), (2, "named"), (3, "exit")]
    assert teller.look() == []
    assert [message.sighting.name for message in teller.told] == [None, "Ada", "Ada"]
    assert len({message.epoch for message in teller.told}) == 1
    teller.end()


def test_history_is_not_told_to_the_first_listener(config: Config) -> None:
    record(config, [at(0, face(IDS[0]))])
    teller = TellerRun(config)

    assert teller.look() == []
    record(config, [at(5, face(IDS[1]))])
    assert [seq for seq, _ in teller.look()] == [3, 4]
    teller.end()


def test_what_happened_meanwhile_is_told_after_a_restart(config: Config) -> None:
    record(config, [at(0)])
    first = TellerRun(config)
    first.look()
    record(config, [at(0, face(IDS[0]))])
    assert [seq for seq, _ in first.look()] == [1, 2]
    first.end()
    record(config, [at(5, face(IDS[1]))])

    second = TellerRun(config)

    assert [seq for seq, _ in second.look()] == [3, 4]
    second.end()


def test_crash_before_the_note_repeats_with_the_same_numbers(config: Config) -> None:
    record(config, [at(0)])
    first = TellerRun(config)
    first.look()
    note = Path(config.sightings.dir, "told.json")
    before = note.read_bytes()
    record(config, [at(0, face(IDS[0]))])
    told = first.look()
    first.end()
    note.write_bytes(before)

    second = TellerRun(config)

    assert second.look() == told
    assert [one.sighting.id for one in second.told] == [one.sighting.id for one in first.told]
    second.end()


@pytest.mark.parametrize("note", [b"", b"{", b'{"epoch": 1, "seq": 99}', b"\xff"])
def test_damaged_note_tells_all_again_rather_than_nothing(config: Config, note: bytes) -> None:
    record(config, [at(0, face(IDS[0]))])
    Path(config.sightings.dir, "told.json").write_bytes(note)
    teller = TellerRun(config)

    assert [seq for seq, _ in teller.look()] == [1, 2]
    teller.end()


def test_second_publisher_of_a_folder_tells_nothing(config: Config) -> None:
    record(config, [at(0)])
    first, second = TellerRun(config), TellerRun(config)
    first.look()
    second.look()
    record(config, [at(0, face(IDS[0]))])

    assert (len(first.look()), len(second.look())) == (2, 0)
    first.end()
    record(config, [at(5, face(IDS[1]))])
    assert [seq for seq, _ in second.look()] == [3, 4], "it takes over"
    second.end()


def test_new_database_in_its_place_is_told(config: Config) -> None:
    record(config, [at(0)])
    teller = TellerRun(config)
    teller.look()
    database.move_away(Path(config.sightings.dir))
    record(config, [at(0, face(IDS[0]))])

    assert [seq for seq, _ in teller.look()] == [1, 2]
    assert len({message.epoch for message in teller.told}) == 1
    teller.end()


def test_no_database_yet_is_waited_for(config: Config) -> None:
    teller = TellerRun(config)
    assert teller.look() == []
    record(config, [at(0)])
    teller.look()
    record(config, [at(1, face(IDS[0]))])

    assert [seq for seq, _ in teller.look()] == [1, 2]
    teller.end()


def test_change_is_a_line_for_people(config: Config) -> None:
    record(config, [at(0)])
    teller = TellerRun(config)
    teller.look()
    record(config, [at(0, face(IDS[0], "Ada")), at(1, face(IDS[1], "\x1b[31mBob"))])
    teller.look()
    teller.end()

    ada, bob, *_ = (tables.change(message) for message in teller.told)
    assert ada.endswith(f" a enter Ada 90% {IDS[0]}")
    assert bob.endswith(f" a enter ?[31mBob 90% {IDS[1]}"), "no control code reaches the terminal"
    as_stranger = msgspec.structs.replace(
        teller.told[0],
        change="stranger",
        sighting=msgspec.structs.replace(teller.told[0].sighting, name=None, machine_name=None, stranger=7),
    )
    assert tables.change(as_stranger).endswith(f" a is stranger 7 {IDS[0]}")


def test_changes_are_told_once_where_the_disk_is_full(config: Config) -> None:
    record(config, [at(0)])
    teller = TellerRun(config)
    assert teller.look() == []
    told = Path(config.sightings.dir) / "told.json"
    record(config, [at(0, face(IDS[0]))])

    with files_of_at_most(0):
        assert teller.look() == [(1, "enter"), (2, "exit")]
        assert teller.look() == []
    before = told.read_bytes()
    record(config, [at(5, face(IDS[1]))])

    assert teller.look() == [(3, "enter"), (4, "exit")]
    assert told.read_bytes() != before
    teller.end()
