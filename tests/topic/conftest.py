from collections.abc import Iterator
from pathlib import Path

import pytest

from jetstream.config.schema import PublishConfig
from jetstream.topic import keys
from tests.support.command import free_port
from tests.support.topics import SendingTopic


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of keys with the publisher's pair."""
    keys.new(tmp_path / "keys" / keys.PUBLISHER, "publisher")
    return tmp_path / "keys"


@pytest.fixture
def talking(folder: Path) -> Iterator["SendingTopic"]:
    with SendingTopic(PublishConfig(endpoint=f"tcp://127.0.0.1:{free_port()}", keys=str(folder))) as talking:
        yield talking
