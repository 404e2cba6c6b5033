"""Follows the packets of one camera, from the newest description on, and starts again there when it was lapped.

Knows no codec and no clock.
"""

from jetstream.video.gop.ring import GopPacket, PacketRing


class GopReader:
    """`missed`: packets that were overwritten or skipped before they were read. After each jump the next packet is a
    description, and `jumps` is one more."""

    def __init__(self, ring: PacketRing) -> None:
        self._ring = ring
        self._next: int | None = None
        self.missed = self.jumps = 0

    @property
    def waiting(self) -> int:
        """How many packets are there to be read."""
        return max(0, self._ring.cursor - (self._next or 0))

    def read(self) -> GopPacket | None:
        """The next packet; None: there is none yet. Raises RingError as the ring does."""
        while True:
            if self._next is None:
                self._next = self._ring.newest_description
            if self._next is None or self._next >= self._ring.cursor:
                return None
            packet = self._ring.read(self._next)
            if packet is not None:
                self._next += 1
                return packet
            if not self.jump():
                return None

    def jump(self) -> bool:
        """Go on at the newest description, if that is further on."""
        newest, at = self._ring.newest_description, self._next
        if newest is None or at is None or newest <= at:
            return False
        self.missed += newest - at
        self.jumps += 1
        self._next = newest
        return True
