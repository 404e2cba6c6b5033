"""The page's account view in a real Chromium: sessions, users and tokens are listed there, and ended."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.pages import PageSite, browser, console, page_site, waited

PASSWORD = "correct horse"
SAYS = "return document.querySelector('main')?.innerText.includes({!r})"
CLICK = """
const button = [...document.querySelectorAll(arguments[0])].find((one) => one.innerText.includes(arguments[1]));
button?.click();
return Boolean(button);
"""
FILL = """
const form = [...document.querySelectorAll("main form")].find((one) => one.innerText.includes(arguments[0]));
for (const [name, value] of Object.entries(arguments[1])) form.elements[name].value = value;
form.requestSubmit();
"""


@pytest.fixture(scope="module")
def driver() -> Iterator[Any]:
    with browser() as driver:
        yield driver


@pytest.fixture
def page(tmp_path: Path) -> Iterator[PageSite]:
    with page_site(tmp_path) as page:
        yield page


def logged_in(driver: Any, page: PageSite, name: str) -> None:
    """Open the account view of a user."""
    driver.get(f"http://127.0.0.1:{page.port}/icon.svg")
    key, _, token = page.logged_in(name, PASSWORD).partition("=")
    driver.delete_all_cookies()
    driver.add_cookie({"name": key, "value": token, "path": "/"})
    console(driver)  # of the test before
    driver.get(f"http://127.0.0.1:{page.port}/account")
    waited(driver, SAYS.format("this one"))


def remove(driver: Any, name: str) -> None:
    """Click Remove of a user or token, and again in the dialog that asks."""
    waited(driver, f"const one = document.querySelector(\"[aria-label='Remove {name}']\"); one?.click(); return !!one")
    waited(driver, "const one = document.querySelector('dialog[open] .danger'); one?.click(); return Boolean(one)")


def test_first_user_is_added_by_whoever_uses_the_machine_and_then_has_to_log_in(driver: Any, page: PageSite) -> None:
    driver.get(f"http://127.0.0.1:{page.port}/account")
    waited(driver, SAYS.format("There is no user"))
    assert waited(driver, "return document.querySelector('select[name=may]')?.value") == "rule"
    driver.execute_script(FILL, "Add a user", {"name": "ada", "password": PASSWORD})

    waited(driver, "return document.querySelector('.login')")
    with page.site.access() as access:
        assert [(user.name, user.may) for user in access.users()] == [("ada", "rule")]


def test_session_of_another_browser_is_ended(driver: Any, page: PageSite) -> None:
    page.add_user("ada", PASSWORD, "look")
    other = page.logged_in("ada", PASSWORD)
    logged_in(driver, page, "ada")
    assert "Users" not in driver.execute_script("return document.querySelector('main').innerText")
    row = "tbody tr:not(:has(.tag)) button"
    assert page.ask("GET", "/api/who", Cookie=other).json["may"] == "look"
    driver.execute_script(CLICK, row, "End")

    waited(driver, "return document.querySelectorAll('tbody tr').length === 1")
    assert page.ask("GET", "/api/who", Cookie=other).json["may"] is None
    driver.execute_script(CLICK, "main button", "Log out")
    waited(driver, "return document.querySelector('.login')")


def test_user_and_token_are_made_and_removed(driver: Any, page: PageSite) -> None:
    page.add_user("ada", PASSWORD)
    logged_in(driver, page, "ada")
    driver.execute_script(FILL, "Add a user", {"name": "eve", "password": PASSWORD})
    waited(driver, "return document.querySelector(\"[aria-label='Remove eve']\")")
    driver.execute_script(FILL, "Add a user", {"name": "eve", "password": PASSWORD})
    waited(driver, SAYS.format("eve: there is such a user already"))
    remove(driver, "eve")
    waited(driver, "return !document.querySelector('dialog') && !document.querySelector(\"[aria-label='Remove eve']\")")

    driver.execute_script(FILL, "Make a token", {"name": "door"})
    token = waited(driver, "return document.querySelector('main pre')?.innerText")
    assert page.ask("GET", "/api/cameras", Authorization=f"Bearer {token}").status == 200
    remove(driver, "door")
    waited(driver, "return !document.querySelector(\"[aria-label='Remove door']\")")
    assert page.ask("GET", "/api/cameras", Authorization=f"Bearer {token}").status == 401
    assert [line for line in console(driver) if "users/add" not in line] == [], "but for the refused second eve"
