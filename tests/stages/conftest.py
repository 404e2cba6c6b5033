"""Peers that the video tests have, too."""

from tests.video.conftest import serve, silent_peer

__all__ = ["serve", "silent_peer"]
