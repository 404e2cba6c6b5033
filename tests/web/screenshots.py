"""The pictures of docs/page.md: `make screenshots` runs the demo and looks at its page in a real Chromium.

Everybody in them is a public-domain portrait. The window, the zone and the clock are always the same, and a picture is
taken when both faces are apart, so that two runs differ by little. Kept are WebP files, with their sizes printed.
"""

import base64
import tempfile
import time
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np

from jetstream.video.demo_film import collins_path, hopper_path
from tests.support.command import Command, free_port
from tests.support.pages import browser, waited
from tests.support.photos import COLLINS, looks, write_photo
from tests.support.repository import REPOSITORY

FOLDER: Final = REPOSITORY / "docs" / "images"
QUALITY: Final = 82
SCREEN, PHONE = (1280, 800), (390, 844)
BEGIN_S: Final = 1_769_850_000
"""when the run begins in the pictures: 31 January 2026, 9:00 UTC"""
CONFIG: Final = """
[[cameras]]
name = "door"
area = "entrance"
source = "demo"
loop = true
fps = 8

[[cameras]]
name = "hall"
source = "demo"
flip = "horizontal"
loop = true
fps = 8

[recognize]
faces = "faces"

[sightings]
absence_s = 2
"""
CLOCK: Final = """
const Real = Date, late = LATE;
window.Date = class extends Real {
  constructor(...given) {
    if (!given.length) super(Real.now() - late);
    else if (typeof given[0] === "string") super(Real.parse(given[0]) - late);
    else super(...given);
  }
  static now() { return Real.now() - late; }
  toISOString() { return new Real(this.getTime() + late).toISOString(); }
};
"""
FACES_APART: Final = """
const faces = [...document.querySelector(".faces").children];
const [eileen, ...others] = faces.sort((one) => (one.ariaLabel.startsWith("Eileen") ? -1 : 1));
const left = (face) => parseFloat(face.style.left);
return others.length === 1 && eileen.ariaLabel.startsWith("Eileen") && left(others[0]) - left(eileen) > 25;
"""
NAME_STRANGER: Final = """
const field = document.querySelector("dialog[open] input[name=name]");
if (!field) return void [...document.querySelectorAll(".item button")].find((one) => one.title === "n")?.click();
field.value = "Grace Hopper";
field.form.requestSubmit();
return true;
"""
OPEN_FACE: Final = """
const face = document.querySelector(".face[aria-label^=Eileen]");
face?.click();
return Boolean(face);
"""
TIMELINE: Final = "return document.querySelectorAll('.sighting').length >= 9"
PICTURES: Final = """
const isSeen = (one) => one.checkVisibility() && one.getBoundingClientRect().top < innerHeight;
return [...document.images].filter(isSeen).every((one) => one.complete) && !document.querySelector("[aria-busy]");
"""


class Photographer:
    """Looks at the page and writes what it shows."""

    def __init__(self, driver: Any, address: str) -> None:
        self._driver, self._address = driver, address

    def view(self, size: tuple[int, int], scheme: str) -> None:
        width, height = size
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": size == PHONE}
        self._driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self._driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})

    def open(self, path: str, until: str) -> None:
        self._driver.get(self._address + path)
        self.wait(until)

    def wait(self, until: str) -> None:
        waited(self._driver, until, seconds=90)

    def choose(self, file: Path) -> None:
        self._driver.find_element("css selector", "input[type=file]").send_keys(str(file))

    def wait_until_faces_are_apart(self) -> None:
        """At the beginning of the seven seconds of each film in which they are."""
        self.wait(f"return !(() => {{{FACES_APART}}})()")
        self.wait(FACES_APART)

    def take(self, name: str) -> None:
        self.wait(PICTURES)
        time.sleep(0.3)  # for what a picture's arrival moves
        png = self._driver.execute_cdp_cmd("Page.captureScreenshot", {"format": "png"})["data"]
        image = cv2.imdecode(np.frombuffer(base64.b64decode(png), np.uint8), cv2.IMREAD_COLOR)
        assert image is not None
        path = FOLDER / f"{name}.webp"
        cv2.imwrite(str(path), image, [cv2.IMWRITE_WEBP_QUALITY, QUALITY])
        print(f"{path.relative_to(REPOSITORY)}: {path.stat().st_size / 1000:.0f} kB")


def take_all(one: Photographer) -> None:
    """All pictures, while the demo runs."""
    person = COLLINS.replace(" ", "%20")
    one.view(SCREEN, "light")
    one.open("/timeline", TIMELINE)
    one.take("page-timeline")
    one.open("/live", OPEN_FACE)
    one.wait("return document.querySelector('.panel img')")
    one.wait_until_faces_are_apart()
    one.take("page-live")
    one.open("/inbox", "return document.querySelectorAll('.item img').length >= 3")
    one.take("page-inbox")
    one.open(f"/people/{person}", "return document.querySelectorAll('.photo').length >= 4")
    one.take("page-person")
    one.open(f"/timeline?who={person}", "return document.querySelector('.sighting img')")
    one.wait("document.querySelector('.sighting a').click(); return true")
    one.wait("return document.querySelector('.looks img')")
    one.take("page-sighting")
    one.open("/search", "return document.querySelector('input[type=file]')")
    one.choose(hopper_path())
    one.wait("return document.querySelector('.sighting img')")
    one.take("page-search")
    one.open("/system", "return document.querySelector('tbody td:nth-child(8)')?.textContent")
    one.take("page-system")
    one.open("/inbox", NAME_STRANGER)
    one.wait("return document.body.innerText.includes('Learnt: 2 people')")
    one.open("/people", "return document.querySelectorAll('.card.person img').length === 2")
    one.take("page-people")
    one.view(SCREEN, "dark")
    one.open("/timeline", TIMELINE)
    one.take("page-timeline-dark")
    one.view(PHONE, "dark")
    one.open("/live", OPEN_FACE.replace("face?.click();", ""))
    one.wait_until_faces_are_apart()
    one.take("page-live-phone")


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        site = Path(folder)
        (site / "site.toml").write_text(CONFIG)
        for number, look in enumerate(looks(cv2.imread(str(collins_path()))), 1):
            write_photo(site / "faces" / COLLINS / f"{number}.jpg", look)
        command = Command(site, REPOSITORY / "models", page_port=free_port(), looks=3)
        late_ms = 1000 * (round(time.time()) - BEGIN_S)
        with command.running("site.toml", "--headless"), browser(*SCREEN) as driver:
            driver.execute_cdp_cmd(
                "Page.addScriptToEvaluateOnNewDocument", {"source": CLOCK.replace("LATE", str(late_ms))}
            )
            driver.execute_cdp_cmd("Emulation.setTimezoneOverride", {"timezoneId": "UTC"})
            driver.execute_cdp_cmd("Emulation.setLocaleOverride", {"locale": "en-GB"})
            take_all(Photographer(driver, command.page))


if __name__ == "__main__":
    main()
