"""People are sorted in a real browser, while a pipeline runs: enrolled from the camera, named, denied, forgotten."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.support.command import Command, free_port
from tests.support.pages import browser, console
from tests.support.repository import DEMO
from tests.support.waiting import wait_until

NAMED = """
const labels = [...document.querySelectorAll(".face")].map((face) => face.getAttribute("aria-label"));
return labels.some((label) => label.startsWith(arguments[0]));
"""
CLICK = """
const wanted = [...document.querySelectorAll(arguments[0])].find((one) => one.textContent.includes(arguments[1]));
wanted?.click();
return Boolean(wanted);
"""
FILL = """
const field = document.querySelector("dialog input[name=name]");
if (!field) return false;
field.value = arguments[0];
field.form.requestSubmit();
return true;
"""
KEY = "document.activeElement.dispatchEvent(new KeyboardEvent('keydown', {key: arguments[0], bubbles: true}))"


class Page:
    """A browser that looks at the page."""

    def __init__(self, driver: Any, address: str) -> None:
        self.driver, self.address = driver, address

    def go(self, path: str) -> None:
        self.driver.get(self.address + path)

    def until(self, script: str, *words: str, seconds: float = 40.0) -> Any:
        """What the script returns, once that is something."""
        found: list[Any] = []

        def holds() -> bool:
            found.append(self.driver.execute_script(script, *words))
            return bool(found[-1])

        wait_until(holds, seconds, lambda: f"{script}\n{console(self.driver)}\n{self.text()[:2000]}")
        return found[-1]

    def click(self, selector: str, text: str = "") -> None:
        self.until(CLICK, selector, text)

    def says(self, text: str, seconds: float = 40.0) -> None:
        self.until("return document.body.innerText.includes(arguments[0])", text, seconds=seconds)

    def text(self) -> str:
        return str(self.driver.execute_script("return document.body.innerText"))


@pytest.fixture
def running(jetstream: Command, own_models: Path) -> Command:
    """Models of its own, since a forgotten person is searched for among all galleries beside them."""
    (jetstream.folder / "faces").mkdir()
    return replace(jetstream, models=own_models, page_port=free_port(), looks=3)


@pytest.fixture
def page(running: Command) -> Iterator[Page]:
    """Nobody is known; two people are seen again and again."""
    sets = ["recognize.faces=faces", "recognize.watch_s=0.5", "sightings.absence_s=1", "cameras.demo.fps=10"]
    words = [word for text in sets for word in ("--set", text)]
    with browser() as driver, running.running(DEMO, *words):
        yield Page(driver, running.page)


def photos(running: Command) -> list[str]:
    faces = running.folder / "faces"
    return sorted(path.relative_to(faces).as_posix() for path in faces.rglob("*.jpg"))


@pytest.mark.pipeline
def test_strangers_become_people_and_one_is_forgotten(page: Page, running: Command) -> None:
    page.go("/people")
    page.says("Nobody is known yet")

    page.go("/live")
    page.click(".face")
    page.click(".panel button", "Enroll from this camera")
    page.until(FILL, "Ada")
    page.says("Taking photos of Ada")
    page.says("Ada is enrolled", seconds=60)
    page.says("The gallery has learnt Ada")
    assert {Path(photo).parent.name for photo in photos(running)} == {"Ada"}
    page.until(NAMED, "Ada ", seconds=60)

    page.go("/inbox")
    page.until("return [...document.querySelectorAll('.item img')].every((one) => one.naturalWidth > 0)")
    page.until("const one = document.querySelector('.item'); one?.focus(); return document.activeElement === one")
    page.driver.execute_script(KEY, "Enter")
    page.until("return location.pathname === '/timeline' && location.search.startsWith('?who=Stranger')")
    page.go("/inbox")
    page.until("const one = document.querySelector('.item'); one?.focus(); return document.activeElement === one")
    page.driver.execute_script(KEY, "n")
    page.until(FILL, "Grace")
    page.says("It is Grace")
    page.says("Learnt: ")
    page.go("/live")
    page.until(NAMED, "Grace ", seconds=60)

    page.go("/people")
    page.until("return document.querySelectorAll('.person').length === 2")
    page.click(".person a", "Ada")
    page.until("return [...document.querySelectorAll('.photo img')].every((one) => one.naturalWidth > 0)")
    page.click("button", "Forget")
    page.click("dialog button.danger", "Forget")
    page.says("Ada is forgotten", seconds=60)
    assert "Searched afterwards" in page.text()
    assert "Ada" not in {Path(photo).parts[0] for photo in photos(running)}
    # the panel of a face asks for its sighting, which may be written some tenths of a second later
    assert [line for line in console(page.driver) if "/api/sightings/" not in line or "404" not in line] == []


@pytest.mark.pipeline
def test_wrong_name_is_denied_and_not_given_again(page: Page, running: Command) -> None:
    page.go("/inbox")
    page.until("const one = document.querySelector('.item'); one?.focus(); return document.activeElement === one")
    page.driver.execute_script(KEY, "n")
    page.until(FILL, "Eve")
    page.says("Learnt: ")
    page.go("/timeline?who=Eve")
    page.click(".sighting a", "Eve")
    page.click("button", "Not Eve")
    page.says("It is not Eve")
    page.says("Learnt: ")
    assert any("/_not/" in photo for photo in photos(running))

    page.click("button", "Undo")
    page.says("Taken back")
    assert not any("/_not/" in photo for photo in photos(running))
    assert console(page.driver) == []
