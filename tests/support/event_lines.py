"""Events as recordings and replays write them, a JSON object a line."""

import json
from pathlib import Path


def lines_of(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def events_in(folder: Path) -> list[dict]:
    """Of the one recording in `folder`."""
    (path,) = folder.glob("*.jsonl")
    return lines_of(path)
