"""Answers and truths of an evaluation, made in sight, and what a browser would fetch for a page."""

from html.parser import HTMLParser

import numpy as np

from jetstream.evaluation.metrics import ProbeResult


def asked(person: str, known: bool, name: str | None, score: float, nearest: str = "Ada") -> ProbeResult:
    return ProbeResult(f"{person}/{score}.jpg", person, known, name, name or nearest, "Ada/1.jpg", 0.4, score)


def some_asked(seed: int, known: int = 80, strangers: int = 250) -> list[ProbeResult]:
    """Known faces with higher scores than strangers, one in ten of them nearer to somebody else."""
    random = np.random.default_rng(seed)
    found = []
    for score, other in zip(random.normal(2, 2, known).round(1), random.random(known) < 0.1, strict=True):
        who = "Bob" if other else "Ada"
        found.append(asked("Ada", True, who if score >= 0 else None, float(score), nearest=who))
    for score in random.normal(-3, 2, strangers).round(1):
        found.append(asked("Eve", False, "Ada" if score >= 0 else None, float(score)))
    return found


def box_truth(frame: int, **people: float) -> dict[str, object]:
    faces = [{"box": [x - 4, 10, x + 4, 20], "name": None if who == "nobody" else who} for who, x in people.items()]
    return {"frame": frame, "faces": faces}


class PageParser(HTMLParser):
    """Everything that a browser would fetch, and every element."""

    def __init__(self) -> None:
        super().__init__()
        self.fetched: list[str] = []
        self.elements: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.add(tag)
        self.fetched += [value or "" for name, value in attrs if name in ("src", "href", "srcset", "action", "data")]
