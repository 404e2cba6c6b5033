"""facenet-pytorch's MTCNN behind a pipe, for comparison: pictures in, faces and its own time out.

Knows nothing of jetstream: it runs in its own environment with torch and facenet-pytorch, in one thread.

On stdin, for each picture: rows and columns as two little-endian int32, then the RGB pixels. On stdout, for each: the
number of faces N as int32, wall and CPU nanoseconds as two int64, then N boxes (4), N probabilities and N landmarks
(5 x 2) as float32. Ends when its input ends.
"""

import sys
import time

import numpy as np
import torch
from facenet_pytorch import MTCNN

MIN_FACE_PX = int(sys.argv[1]) if len(sys.argv) > 1 else 40


def serve() -> None:
    torch.set_num_threads(1)
    detector = MTCNN(keep_all=True, min_face_size=MIN_FACE_PX, device="cpu")
    source, sink = sys.stdin.buffer, sys.stdout.buffer
    while header := source.read(8):
        rows, columns = np.frombuffer(header, "<i4")
        image = np.frombuffer(source.read(rows * columns * 3), np.uint8).reshape(rows, columns, 3)
        wall, cpu = time.perf_counter_ns(), time.process_time_ns()
        boxes, scores, landmarks = detector.detect(image, landmarks=True)
        wall, cpu = time.perf_counter_ns() - wall, time.process_time_ns() - cpu
        count = 0 if boxes is None else len(boxes)
        sink.write(np.array([count], "<i4").tobytes() + np.array([wall, cpu], "<i8").tobytes())
        if count:
            for part in (boxes, scores, landmarks):
                sink.write(np.asarray(part, "<f4").tobytes())
        sink.flush()


if __name__ == "__main__":
    serve()
