"""What a person said about groups of strangers: who is in which group, and who is not the same.

Knows no embedding and no threshold.
"""

from collections.abc import Callable, Iterable


class GroupCorrections:
    """Sightings pinned to a group, and pairs that may never be in one group."""

    def __init__(self) -> None:
        self.pinned: set[str] = set()
        self._not_sightings: dict[str, set[str]] = {}
        self._not_groups: dict[str, set[int]] = {}

    def forbid(self, key: str, other: str | int) -> None:
        """Never in one group: two sightings, or a sighting and what is or becomes group `other`."""
        if isinstance(other, int):
            self._not_groups.setdefault(key, set()).add(other)
            return
        self._not_sightings.setdefault(key, set()).add(other)
        self._not_sightings.setdefault(other, set()).add(key)

    def forget(self, key: str) -> None:
        """Drop what was said of a sighting."""
        self.pinned.discard(key)
        self._not_groups.pop(key, None)
        for other in self._not_sightings.pop(key, ()):
            self._not_sightings[other].discard(key)

    def renamed(self, group: int, into: int) -> None:
        """A group got another id."""
        for groups in self._not_groups.values():
            if group in groups:
                groups.add(into)

    def bars(self, keys: Iterable[str], group: int, group_of: Callable[[str], int | None]) -> bool:
        """Whether one of `keys` may not be in `group`."""
        for key in keys:
            if group in self._not_groups.get(key, ()):
                return True
            if any(group_of(other) == group for other in self._not_sightings.get(key, ())):
                return True
        return False

    def is_empty(self) -> bool:
        """Whether nothing is forbidden."""
        return not self._not_sightings and not self._not_groups
