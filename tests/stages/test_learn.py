"""When photos that changed are learnt."""

from jetstream.stages.learn import PhotoWatcher


def test_change_is_due_once_photos_stand_still() -> None:
    change = PhotoWatcher({"A/1.jpg": (10, 1)})

    looks = [
        {"A/1.jpg": (10, 1)},
        {"A/1.jpg": (10, 1), "A/2.jpg": (5, 2)},
        {"A/1.jpg": (10, 1), "A/2.jpg": (9, 3)},
        {"A/1.jpg": (10, 1), "A/2.jpg": (9, 3)},
        {"A/1.jpg": (10, 1), "A/2.jpg": (9, 3)},
        {"A/1.jpg": (10, 1)},
        {"A/1.jpg": (10, 1)},
    ]

    assert [change.is_due(look) for look in looks] == [False, False, False, True, False, False, True]


def test_faces_folder_that_is_gone_or_empty_forgets_nobody() -> None:
    """What is left of a disk that went away is the empty folder that it was mounted on."""
    change = PhotoWatcher({"A/1.jpg": (10, 1)})

    assert not any(change.is_due(look) for look in (None, None, {}, {}, {}))
