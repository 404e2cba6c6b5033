"""A subscriber to whom nothing comes is told why."""

from pathlib import Path

import pytest

from jetstream.topic import keys
from jetstream.topic import subscriber as top
from tests.support.command import free_port
from tests.support.topics import SendingTopic, subscriber


def test_subscriber_is_told_why_nothing_comes(talking: SendingTopic, folder: Path) -> None:
    stranger = subscriber(folder, "stranger", on_list=False)
    assert "refused: the key stranger is not on its list" in refusal(talking.settings.endpoint, stranger)
    assert "refused: the publisher requires a key" in refusal(talking.settings.endpoint, None)
    other = keys.new(folder.parent / "other.key", "other", stranger.public)
    assert "refused: the publisher has no keys, or not the one that other expects" in refusal(
        talking.settings.endpoint, other
    )


def test_subscriber_is_told_that_nothing_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(top, "QUIET_S", 0.3)
    address = f"tcp://127.0.0.1:{free_port()}"
    assert f"{address}: no message so far; still waiting" in refusal(address, None)
    assert f"{address}: no message of camera door so far" in refusal(address, None, "door")


def refusal(endpoint: str, key: keys.KeyFile | None, camera: str = "") -> str:
    def tell(why: str) -> None:
        raise PermissionError(why)

    with pytest.raises(PermissionError) as told:
        next(top.detections(endpoint, camera, key, tell))
    return str(told.value)
