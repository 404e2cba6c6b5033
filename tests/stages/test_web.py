"""The stage web, from what it takes to what a page is told."""

import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import websockets.sync.client

from jetstream.ipc.local import LocalRing
from jetstream.ipc.rings import Rings
from jetstream.messages import InUse, Tick, Tracked
from jetstream.stages.web import web
from tests.support.command import free_port
from tests.support.sightings import at, config_with

GALLERY = InUse(sha256="ab" * 32, people=3, photos=9)


def test_page_is_told_of_the_gallery_in_use(tmp_path: Path) -> None:
    port = free_port()
    config = config_with(tmp_path, web={"endpoint": f"http://127.0.0.1:{port}", "dir": str(tmp_path / "web")})
    told, heard = list[dict[str, object]](), threading.Event()

    def look() -> None:
        with websockets.sync.client.connect(f"ws://127.0.0.1:{port}/api/live", proxy=None) as socket:
            while not told or told[-1]["gallery"] is None:
                told.append(json.loads(socket.recv(timeout=20))["news"])
        heard.set()

    def messages() -> Iterator[Tracked | InUse | Tick]:
        yield at(1.0)
        threading.Thread(target=look).start()
        until_s = time.monotonic() + 20
        while not told and time.monotonic() < until_s:
            time.sleep(0.05)
            yield Tick()
        yield GALLERY
        while not heard.wait(0.05) and time.monotonic() < until_s:
            yield Tick()

    finished = list(web(messages(), Rings({"a": LocalRing(slots=4)}), config))

    assert [one.frame.frame_id for one in finished] == [10]
    assert [news["gallery"] for news in told] == [None, {"sha256": "ab" * 32, "people": 3, "photos": 9}]
