"""The recent answers of a stage: at the every-frame pace each frame passes once and in order, even when processes die.

Capture sends a frame again when it was lost with a process. A frame that this stage has done already is answered from
this cache, for the next stage, which lost it. A frame that arrives before its turn is left out: capture sends it again.

Knows no stage and no process.
"""

from collections import deque
from collections.abc import Callable, Iterator
from typing import TypeVar

from jetstream.ipc.bus import Outbox
from jetstream.messages import Framed, FrameRef, Message

Item = TypeVar("Item", Message, list[Framed])


class AnswerCache:
    """The last `slots` answers of one stage for each camera.

    `kind` is the message type that brings a frame. `first` maps each camera to the number of the frame that is next.
    `slowest(camera)` is the frame number below which all readers of that camera's ring are done; no stage waits for
    such a frame.
    """

    def __init__(self, kind: type[Framed], first: dict[str, int], slots: int, slowest: Callable[[str], int]) -> None:
        self._kind = kind
        self._next = dict(first)
        self._slowest = slowest
        self._answers: dict[str, deque[Framed]] = {camera: deque(maxlen=slots) for camera in first}

    def add(self, answer: Framed) -> None:
        """Store this stage's answer to a frame."""
        self._answers[answer.frame.camera].append(answer)

    def new_ones(self, items: Iterator[Item], outbox: Outbox) -> Iterator[Item]:
        """`items` (messages, or lists of one) without the frames that are done or not yet due.

        The stored answer to a frame that is done goes to `outbox` again.
        """
        for item in items:
            message = item[0] if isinstance(item, list) else item
            if not isinstance(message, self._kind) or self._is_next(message.frame):
                yield item
            else:
                self._answer_again(message.frame, outbox)

    def _is_next(self, frame: FrameRef) -> bool:
        due = max(self._next[frame.camera], self._slowest(frame.camera))
        self._next[frame.camera] = due + 1 if frame.frame_id == due else due
        return frame.frame_id == due

    def _answer_again(self, frame: FrameRef, outbox: Outbox) -> None:
        for answer in self._answers[frame.camera]:
            if answer.frame.frame_id == frame.frame_id and answer.is_sent:
                outbox.send(answer)
