"""The pictures of one camera into its folder of fragments, for clips, blurred as `render.blur` says. A camera whose
packets are copied there is left alone.

Never waits: what can't be encoded or stored is left out.
"""

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray

from jetstream.capturing import fragment_places
from jetstream.capturing.fragment_writer import FAILURES, FragmentWriter
from jetstream.config.schema import Config
from jetstream.ipc.rings import FrameReader
from jetstream.messages import Tracked
from jetstream.video.encoder import chosen_codec
from jetstream.video.gop.fragment_encoder import FragmentEncoder
from jetstream.vision.drawing.annotate import annotate

SILENT_S: Final = 2.0
"""time without a frame after which the last fragment of a camera is stored: it may be all that comes"""
LOOK_EVERY_S: Final = 1.0
"""time between two looks whether the camera's packets are copied"""


class CameraEncoder:
    """Times are of time.monotonic()."""

    def __init__(self, camera: str, config: Config) -> None:
        self._camera, self._config = camera, config
        self._writer = fragment_places.writer_to(fragment_places.encoded_of(camera, config), camera, config)
        self._encoder: FragmentEncoder | None = None
        self._newest_s = self._looked_s = -math.inf
        self._is_copied = False

    def add(self, tracked: Tracked, rings: FrameReader, now_s: float) -> str | None:
        """Encode a frame. Returns why its picture was lost, "lapped" or "clips"; None: it wasn't, or isn't wanted."""
        self._newest_s = now_s
        if now_s - self._looked_s >= LOOK_EVERY_S:
            self._looked_s = now_s
            self._is_copied = fragment_places.is_copied(self._camera, self._config)
        if self._is_copied:
            self.end()
            return None
        if self._writer is not None and self._is_off(self._writer):
            return None
        image = rings.read(tracked.frame.camera, tracked.frame.frame_id)
        if image is None:
            return "lapped"
        annotate(image, tracked.faces, tracked.others, blur=self._config.render.blur, landmarks=False, boxes=False)
        return self._encode(image, tracked.frame.captured_ns)

    def end_if_silent(self, now_s: float) -> None:
        """Store what there is when no frame has come for SILENT_S; the next one begins anew."""
        if now_s - self._newest_s > SILENT_S:
            self.end()

    def end(self) -> None:
        """Store what there is."""
        encoder, self._encoder = self._encoder, None
        if encoder is None or self._writer is None:
            return
        try:
            self._writer.store(encoder, encoder.end())
        except FAILURES as error:
            self._writer.fail(error)

    def _is_off(self, writer: FragmentWriter) -> bool:
        try:
            is_off = writer.is_off()
        except OSError as error:
            writer.fail(error)
            is_off = True
        self._encoder = None if is_off else self._encoder
        return is_off

    def _encode(self, image: NDArray[np.uint8], captured_ns: int) -> str | None:
        if self._writer is None:
            return "clips"
        size = image.shape[0], image.shape[1]
        if self._encoder is not None and self._encoder.size != size:
            self.end()
        try:
            if self._encoder is None:
                self._encoder = FragmentEncoder(chosen_codec("auto"), size)
                self._writer.begin(captured_ns)
            self._writer.store(self._encoder, self._encoder.add(image, captured_ns))
        except FAILURES as error:
            self._encoder = None
            self._writer.fail(error)
            return "clips"
        return None
