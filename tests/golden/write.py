"""Golden replays: what the whole pipeline says of the demo, kept in the repository. `make golden` writes it anew."""

import json
from pathlib import Path
from typing import Any

from jetstream import startup
from jetstream.config import load
from jetstream.replay.replay import replay
from tests.support.repository import REPOSITORY

GOLDEN = Path(__file__).resolve().parent / "demo.json"


def demo_replay(models: Path) -> list[list[Any]]:
    """One list a frame of the demo: its tracks as [track_id, state, name, [x1, y1, x2, y2] in whole pixels]."""
    data = {
        "cameras": [{"name": "demo", "source": "demo"}],
        "pipeline": {"pace": "every-frame"},
        "models": {"dir": str(models)},
        "recognize": {"faces": "demo"},
    }
    config = startup.prepare(load.build(data, where="golden"))
    return [
        [[face.track_id, face.state, face.name, [round(value) for value in face.box]] for face in tracked.faces]
        for tracked, _ in replay(config)
    ]


def main() -> None:
    frames = demo_replay(REPOSITORY / "models")
    GOLDEN.write_text("[\n" + ",\n".join(json.dumps(frame, separators=(",", ":")) for frame in frames) + "\n]\n")
    print(f"{GOLDEN}: {len(frames)} frames; look at `git diff` before you commit it")


if __name__ == "__main__":
    main()
