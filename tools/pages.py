"""Markdown pages as the checks need them: code blocks with the marker above, links, and the anchors of headings.

A marker is an HTML comment on the line above a block, which no reader sees:
`<!-- needs: camera -->` says why a test can't run it, `<!-- background -->` that it runs beside the rest of the page.
"""

import re
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

REPOSITORY = Path(__file__).resolve().parents[1]
SITE = REPOSITORY / "docs"
FENCE = re.compile(r"^(?P<indent> *)```(?P<language>\w*)\s*$")
MARKER = re.compile(r"^ *<!-- (?P<words>.+?) -->$")
LINK = re.compile(r"!?\[[^\]]*\]\((?P<target>[^)\s]+)\)")


class Block(NamedTuple):
    page: Path
    line: int
    """of its first line, from 1"""
    language: str
    marker: str
    """the comment above it; empty where there is none"""
    text: str

    @property
    def where(self) -> str:
        return f"{self.page.relative_to(REPOSITORY)}:{self.line}"


def user_pages() -> list[Path]:
    """README and every page of the site."""
    return [REPOSITORY / "README.md", *sorted(SITE.rglob("*.md"))]


def all_pages() -> list[Path]:
    """Those, and what else people read in the repository."""
    folders = (".", "benchmarks", "faces", "models")
    return sorted({*user_pages(), *(page for folder in folders for page in (REPOSITORY / folder).glob("*.md"))})


def blocks(page: Path) -> Iterator[Block]:
    """Every fenced block. Raises ValueError for one that doesn't end."""
    begin, indent, language, marker = 0, "", "", ""
    found: list[str] = []
    before = ""
    for number, line in enumerate(page.read_text().splitlines(), 1):
        fence = FENCE.match(line)
        if begin and line.strip() == "```":
            yield Block(page, begin, language, marker, "\n".join(found))
            begin, found = 0, []
        elif begin:
            found.append(line.removeprefix(indent))
        elif fence:
            begin, indent, language = number + 1, fence["indent"], fence["language"]
            comment = MARKER.match(before)
            marker = comment["words"] if comment else ""
        before = line
    if begin:
        raise ValueError(f"{page}:{begin}: a code block without an end")


def prose(page: Path) -> Iterator[tuple[int, str]]:
    """(number from 1, text) of each line outside of code blocks, without code in backticks."""
    inside = False
    for number, line in enumerate(page.read_text().splitlines(), 1):
        if line.strip().startswith("```"):
            inside = not inside
        elif not inside:
            yield number, line


def links(page: Path) -> Iterator[tuple[int, str]]:
    """(line, target) of each link and image."""
    for number, line in prose(page):
        for link in LINK.finditer(re.sub(r"`[^`]*`", "", line)):
            yield number, link["target"]


def anchors(page: Path) -> set[str]:
    """Of the page's headings: those that GitHub and, for a page of the site, its generator both make. A heading whose
    anchors differ, and a second heading of one name, can't be linked to."""
    headings = [line.lstrip("#").strip() for _, line in prose(page) if re.match(r"#{1,6} ", line)]
    slugs = [github_slug(heading) for heading in headings]
    pairs = zip(slugs, headings, strict=True)
    return {slug for slug, heading in pairs if slugs.count(slug) == 1 and agree(page, heading)}


def agree(page: Path, heading: str) -> bool:
    return not page.is_relative_to(SITE) or github_slug(heading) == site_slug(heading)


def github_slug(heading: str) -> str:
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def site_slug(heading: str) -> str:
    """As Python-Markdown's `toc.slugify` makes it."""
    text = unicodedata.normalize("NFKD", heading).encode("ascii", "ignore").decode()
    return re.sub(r"[-\s]+", "-", re.sub(r"[^\w\s-]", "", text).strip().lower())
