"""No link or anchor of a page is dead, on GitHub and on the site."""

from pathlib import Path

import pytest

from tools import links, pages


def test_no_page_has_a_dead_link_or_anchor() -> None:
    assert list(links.dead(pages.all_pages())) == []


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """docs/ of a repository with a README beside it."""
    monkeypatch.setattr(links, "REPOSITORY", tmp_path)
    for module in (links, pages):
        monkeypatch.setattr(module, "SITE", tmp_path / "docs")
    (tmp_path / "docs").mkdir()
    (tmp_path / "README.md").write_text("# Home\n")
    (tmp_path / "docs" / "b.md").write_text("# B\n\n## Two words\n\n## A — b\n\n## Twice\n\n## Twice\n")
    return tmp_path / "docs"


@pytest.mark.parametrize(
    ("link", "why"),
    [
        ("b.md#two-words", ""),
        ("https://example.com/nowhere", ""),
        ("c.md", "there is no such file"),
        ("b.md#three-words", "there is no such heading"),
        ("#home", "there is no such heading"),
        ("b.md#a--b", "different anchors"),
        ("b.md#twice", "there is no such heading"),
        ("../README.md", "it leaves docs/"),
    ],
)
def test_dead_link_is_named_with_its_line(site: Path, link: str, why: str) -> None:
    page = site / "a.md"
    page.write_text(f"# A\n\nSee [it]({link}).\n\n```sh\n[no link](dead.md)\n```\n")
    found = list(links.dead([page]))

    assert len(found) == (1 if why else 0)
    if why:
        assert found[0].startswith(f"docs/a.md:3: {link}: ")
        assert why in found[0]


def test_block_without_an_end_is_an_error(tmp_path: Path) -> None:
    page = tmp_path / "a.md"
    page.write_text("```sh\nls\n")

    with pytest.raises(ValueError, match="a code block without an end"):
        list(pages.blocks(page))
