"""The ways to carry an RTSP stream: TCP, which loses no packet, and UDP for servers that refuse TCP or send nothing.

Opens nothing.
"""

from collections.abc import Callable, Iterator, Mapping

TCP_FIRST = {"rtsp_transport": "tcp+udp", "rtsp_flags": "prefer_tcp"}
"""FFmpeg asks for UDP where the answer to TCP is 461, and for TCP where UDP brings nothing"""
UDP_FIRST = {"rtsp_transport": "udp+tcp"}
UDP = {"rtsp_transport": "udp"}
"""for servers that answer TCP in another way than 461"""
LONGEST_MEMORY = 1000
"""addresses; far more than one process opens"""

_silent_by_tcp: set[str] = set()
"""addresses whose last stream began by TCP and gave no picture"""


def ways(url: str) -> Iterator[Mapping[str, str]]:
    """FFmpeg's options for each way to try, best first."""
    if not is_rtsp(url):
        yield {}
    elif url in _silent_by_tcp:
        yield UDP_FIRST
    else:
        yield TCP_FIRST
        yield UDP


def gave_no_picture(url: str) -> Callable[[], None]:
    """What to call when an opened stream ended without a picture: the next opening begins with the other way."""

    def remember() -> None:
        if url in _silent_by_tcp:
            _silent_by_tcp.discard(url)
        elif is_rtsp(url) and len(_silent_by_tcp) < LONGEST_MEMORY:
            _silent_by_tcp.add(url)

    return remember


def is_rtsp(url: str) -> bool:
    return url.partition("://")[0].lower() in ("rtsp", "rtsps")
