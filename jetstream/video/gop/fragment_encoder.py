"""Pictures of one size to fragments of MP4. Knows no file and no clock."""

from typing import Final

from jetstream.video.encoder import PictureEncoder
from jetstream.video.frames import USUAL_FPS, Image
from jetstream.video.gop.fragment_output import FragmentOutput, MuxedFragment

KEY_FRAME_EVERY_S: Final = 2.0
"""a clip begins at one, and is played from the exact moment: so much is decoded for nothing at most"""


class FragmentEncoder(FragmentOutput):
    """Fragments of pictures. `codec` is of `encoder.chosen_codec`; `size`: height and width, px, of all pictures; of an
    odd one they get a row or column more.

    Raises av.FFmpegError and OSError, here and later.
    """

    def __init__(self, codec: str, size: tuple[int, int]) -> None:
        super().__init__()
        self.size = size
        self._encoder = PictureEncoder(
            self._output,
            codec,
            preset="ultrafast",
            fps=USUAL_FPS,
            height=size[0],
            width=size[1],
            key_every_s=KEY_FRAME_EVERY_S,
            threads=1,
        )

    def add(self, image: Image, captured_ns: int) -> MuxedFragment | None:
        """Add a (H, W, 3) uint8 BGR picture, captured after the ones before (CLOCK_MONOTONIC); the fragment before it,
        once it is whole."""
        whole = None
        packets, is_key = self._encoder.encode(image, captured_ns * 1e-9)
        for packet in packets:  # one: the encoder holds nothing back
            assert packet.time_base is not None
            packet.duration = round(1 / (USUAL_FPS * packet.time_base))  # of the last one; else the next one says it
            whole = self._put(packet, captured_ns, is_key=is_key)
        return whole
