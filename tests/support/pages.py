"""The page's server with frames of its own, and a real browser."""

import http.client
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
import pytest
import websockets.sync.client

from jetstream.config.schema import Config
from jetstream.ipc.local import LocalRing
from jetstream.ipc.rings import Rings
from jetstream.messages import TrackedFace
from jetstream.web.frames import NewestFrames
from jetstream.web.server import PageServer, serving
from jetstream.web.site import Site
from tests.support.command import free_port
from tests.support.sightings import at, config_with
from tests.support.waiting import wait_until

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")

NARROWEST = 500
"""px, of Chromium's windows; what is narrower is emulated, as a phone"""


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def ask(port: int, method: str, path: str, body: object = None, **headers: str) -> Answer:
    """One request. `body`: bytes, or what is sent as JSON; header names with _ for -."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    sent = {name.replace("_", "-"): text for name, text in headers.items()}
    data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
    if data is not None and not isinstance(body, bytes):
        sent.setdefault("Content-Type", "application/json")
    try:
        connection.request(method, path, data, sent)
        answer = connection.getresponse()
        return Answer(answer.status, {name.lower(): text for name, text in answer.getheaders()}, answer.read())
    finally:
        connection.close()


def logged_in(port: int, name: str, password: str) -> str:
    """The cookie of a new session."""
    answer = ask(port, "POST", "/api/login", {"name": name, "password": password})
    assert answer.status == 200, answer
    return answer.headers["set-cookie"].partition(";")[0]


class PageSite(NamedTuple):
    """A server that answers on a free port, and what it answers from."""

    config: Config
    site: Site
    rings: dict[str, LocalRing]
    port: int
    server: PageServer

    def ask(self, method: str, path: str, body: object = None, **headers: str) -> Answer:
        """One request: see `ask`."""
        return ask(self.port, method, path, body, **headers)

    def show(self, image: np.ndarray, *faces: TrackedFace, camera: str = "a") -> int:
        """Have a camera show a frame, captured now; its number."""
        frame_id = self.rings[camera].write(image)
        tracked = at(frame_id / 10, *faces, frame_id=frame_id, camera=camera)
        now = msgspec.structs.replace(tracked.frame, captured_ns=time.monotonic_ns(), wall_ns=time.time_ns())
        self.site.frames.put(msgspec.structs.replace(tracked, frame=now))
        return frame_id

    def add_user(self, name: str, password: str, may: Any = "rule") -> None:
        with self.site.access() as access:
            access.add_user(name, password, may)

    def logged_in(self, name: str, password: str) -> str:
        """The cookie of a new session."""
        return logged_in(self.port, name, password)


@contextmanager
def page_site(
    folder: Path, *, cameras: Sequence[Any] = ("a",), origin: str = "http://127.0.0.1", **tables: Any
) -> Iterator[PageSite]:
    """Cameras are names or tables. With users in `folder`/web, no sighting, and no pipeline that runs."""
    port = free_port()
    web = {"endpoint": f"{origin}:{port}", "dir": str(folder / "web"), **tables.pop("web", {})}
    pipeline = {"run_dir": str(folder / "run"), **tables.pop("pipeline", {})}
    given = [{"name": one, "source": "demo"} if isinstance(one, str) else one for one in cameras]
    config = config_with(folder, cameras=given, web=web, pipeline=pipeline, **tables)
    rings = {camera.name: LocalRing(slots=8) for camera in config.cameras}
    frames = NewestFrames(config, Rings(rings))
    site = Site(config, frames)
    with serving(config.web, site) as server:
        yield PageSite(config, site, rings, port, server)


def looking(page: PageSite, **headers: str) -> websockets.sync.client.ClientConnection:
    """A viewer's socket."""
    return websockets.sync.client.connect(
        f"ws://127.0.0.1:{page.port}/api/live", additional_headers=headers, open_timeout=10, proxy=None
    )


@contextmanager
def browser(width: int = 1280, height: int = 800) -> Iterator[Any]:
    """A real Chromium without a window, a phone's where it is narrow; the test is skipped where there is none."""
    if CHROMIUM is None or DRIVER is None:
        pytest.skip("needs the programs chromium and chromedriver, which are not installed here")
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for word in (
        *("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu", "--disable-sync"),
        *("--disable-background-networking", "--disable-component-update", "--no-first-run", "--hide-scrollbars"),
        f"--window-size={width},{height}",
    ):
        options.add_argument(word)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(DRIVER, env={**os.environ, "LANG": "C.UTF-8"}))
    try:
        if width < NARROWEST:
            size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": True}
            driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        yield driver
    finally:
        driver.quit()


def console(driver: Any) -> list[str]:
    """What the page wrote to its console since the last call."""
    return [line["message"] for line in driver.get_log("browser")]


def waited(driver: Any, script: str, until: Callable[[Any], bool] = bool, seconds: float = 30.0) -> Any:
    """What the script returns, once `until` holds for it."""
    found: list[Any] = []

    def holds() -> bool:
        found.append(driver.execute_script(script))
        return until(found[-1])

    wait_until(holds, seconds, lambda: f"{found[-1:]}\n{console(driver)}\n{driver.page_source[:3000]}")
    return found[-1]
