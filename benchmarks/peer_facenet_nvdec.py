"""facenet-pytorch's MTCNN on frames that NVDEC decodes into the GPU's memory, for comparison: what a user would write.

    python benchmarks/peer_facenet_nvdec.py VIDEO [MIN_FACE_PX]

Knows nothing of jetstream: it runs in its own environment with torch, facenet-pytorch and PyNvVideoCodec. Frames never
leave the GPU. Prints frames a second, decoding included, and the number of faces, as one line of JSON.
"""

import json
import sys
import time

import PyNvVideoCodec
import torch
from facenet_pytorch import MTCNN

BATCHES = (1, 16, 32)
MOST_S = 15.0


def main() -> None:
    min_face_px = int(sys.argv[2]) if len(sys.argv) > 2 else 40
    detector = MTCNN(keep_all=True, min_face_size=min_face_px, device="cuda")
    answer = {}
    for batch in BATCHES:
        video = PyNvVideoCodec.SimpleDecoder(
            sys.argv[1], gpu_id=0, use_device_memory=True, output_color_type=PyNvVideoCodec.OutputColorType.RGB
        )
        faces = frames = 0
        began_s = 0.0
        for first in range(0, len(video) - batch + 1, batch):
            some = torch.stack([torch.from_dlpack(frame).clone() for frame in video.get_batch_frames(batch)])
            boxes, _ = detector.detect(some)
            if first == 0:
                began_s = time.perf_counter()  # the first is slower
                continue
            frames += batch
            faces += sum(0 if found is None else len(found) for found in boxes)
            if time.perf_counter() - began_s > MOST_S:
                break
        spent_s = time.perf_counter() - began_s
        answer[batch] = {"frames_a_second": frames / spent_s, "ms_a_frame": spent_s * 1e3 / frames, "faces": faces}
    print(json.dumps({"torch": torch.__version__, "batches": answer}))


if __name__ == "__main__":
    main()
