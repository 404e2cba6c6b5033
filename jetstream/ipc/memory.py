"""What a stage answered, so that in the every-frame pace each frame passes once and in order, even when processes die.

Capture tells again of frames that were lost with a process. A frame that this stage has done is answered from memory,
for the stage behind it that lost it; one that comes before its turn is left out, for it will be told of again.

Knows no stage and no process.
"""

from collections import deque
from collections.abc import Callable, Iterator
from typing import TypeVar

from jetstream.ipc.bus import Outbox
from jetstream.messages import Finished, Framed, FrameRef, Message

Item = TypeVar("Item", Message, list[Framed])


class AnswerCache:
    """Of one stage. `kind` is the message that brings a frame, `first` the frame whose turn it is in each camera, and
    `slowest` the one below which all readers of a camera are done, so that nobody waits for it."""

    def __init__(self, kind: type[Framed], first: dict[str, int], slots: int, slowest: Callable[[str], int]) -> None:
        self._kind = kind
        self._next = dict(first)
        self._slowest = slowest
        self._answers: dict[str, deque[Framed]] = {camera: deque(maxlen=slots) for camera in first}

    def add(self, answer: Framed) -> None:
        """This stage's answer to a frame."""
        self._answers[answer.frame.camera].append(answer)

    def new_ones(self, items: Iterator[Item], outbox: Outbox) -> Iterator[Item]:
        """`items` (messages, or lists of one) without the frames that don't pass now."""
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
            if answer.frame.frame_id == frame.frame_id and not isinstance(answer, Finished):
                outbox.send(answer)
