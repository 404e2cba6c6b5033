"""Tells the changes of sightings to the topic: each once, in order, over restarts. What a crash repeats is left out by
`jetstream subscribe`.
"""

from collections.abc import Callable
from pathlib import Path

from jetstream.sighting import SightingMessage
from jetstream.sightings.change_queue import ChangeQueue


class SightingTeller:
    """What to tell of the sightings in `folder`. Times are of time.monotonic(). Never raises for what is wrong there:
    the stage that writes it says so."""

    def __init__(self, folder: Path) -> None:
        self._changes = ChangeQueue(folder, "told")

    def tell(self, send: Callable[[SightingMessage], None], now_s: float) -> None:
        """Call `send` for each change since the last call."""
        while messages := self._changes.look(now_s):
            for message in messages:
                send(message)
            self._changes.done(messages[-1])

    def close(self) -> None:
        """Close the database."""
        self._changes.close()
