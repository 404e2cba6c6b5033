"""Dead links and anchors of all pages, as sentences: `python -m tools.links` prints them, exit 1 where there is one.

It asks no network: what begins with a scheme is left alone. The site's generator checks links too, but not those of
README and of other pages outside docs/, and not whether an anchor works on GitHub as well.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

from tools.pages import REPOSITORY, SITE, all_pages, anchors, links


def dead(pages: list[Path]) -> Iterator[str]:
    for page in pages:
        for line, target in links(page):
            if "://" in target or target.startswith("mailto:"):
                continue
            if why := problem(page, target):
                yield f"{page.relative_to(REPOSITORY)}:{line}: {target}: {why}"


def problem(page: Path, target: str) -> str:
    """What is wrong with a link from `page`; empty: nothing."""
    path, _, anchor = target.partition("#")
    file = (page.parent / path).resolve() if path else page
    if not file.exists():
        return "there is no such file"
    if page.is_relative_to(SITE) and not file.is_relative_to(SITE):
        return "it leaves docs/, so it is dead on the site"
    if anchor and anchor not in anchors(file):
        return "there is no such heading, or GitHub and the site give it different anchors"
    return ""


if __name__ == "__main__":
    found = list(dead(all_pages()))
    print(*found, sep="\n", end="\n" if found else "")
    sys.exit(1 if found else 0)
