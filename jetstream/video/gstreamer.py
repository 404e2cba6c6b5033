"""A GStreamer pipeline that the user wrote (`gst: PIPELINE`) as a source: parsing and opening.

`gstreamer_process` runs it. Decodes nothing. No message contains a password of a pipeline, but other users of the
machine see it in `ps`.
"""

import shlex

import av

from jetstream.errors import SourceError
from jetstream.masking import PIPELINE, learn
from jetstream.video.address import shown
from jetstream.video.ffmpeg import OpenVideo, video_stream
from jetstream.video.frames import SourceSettings
from jetstream.video.gstreamer_process import BUFFER_BYTES, GStreamerProcess
from jetstream.video.troubles import reason_of

AT_ONCE = {"probesize": "32", "analyzeduration": "0", "fpsprobesize": "0"}
"""without these FFmpeg would analyse five seconds of frames first"""


def words_of(spec: str) -> list[str]:
    """The pipeline split like shell words. Raises SourceError if it is empty, has an open quote or ends with a sink."""
    try:
        words = shlex.split(spec.removeprefix(PIPELINE))
    except ValueError:
        raise SourceError(f"{shown(spec)}: a quotation mark isn't closed; close it") from None
    while words[-1:] == ["!"]:
        words.pop()
    if not words:
        raise SourceError(f"{PIPELINE} no pipeline; write one after it, such as `{PIPELINE} videotestsrc`")
    last = words[-words[::-1].index("!")] if "!" in words else words[0]
    if last.endswith("sink"):
        raise SourceError(f"{shown(spec)}: remove {last} at its end; jetstream adds its own sink")
    return words


def open_pipeline(spec: str, settings: SourceSettings) -> OpenVideo:
    """Start and open a pipeline. Raises SourceError if it doesn't start, or gives no frame in time.

    The calling thread must live as long as the pipeline (see `die_with_parent`).
    """
    words = words_of(spec)
    learn(spec)
    limits = {"open_timeout_s": settings.open_timeout_s, "read_timeout_s": settings.read_timeout_s}
    child = GStreamerProcess(words, shown(spec), **limits)
    try:
        container = av.open(
            child, format="matroska", mode="r", buffer_size=BUFFER_BYTES, container_options=AT_ONCE
        )  # fmt: skip
        opened = OpenVideo(container, video_stream(container, shown(spec)), child=child)
    except av.FFmpegError as error:
        child.close()
        if child.failure is not None:
            raise child.failure from None
        what = "it ended before its first frame" if child.ended else f"it gives no video ({reason_of(error)})"
        raise SourceError(f"{shown(spec)}: {what}; check the pipeline") from None
    except BaseException:
        child.close()
        raise
    child.opened()
    return opened
