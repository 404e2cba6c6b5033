"""A network with the layers of dlib's face recognition network in PyTorch: chips from a file in, its times out as JSON.

    python benchmarks/peer_torch_resnet.py CHIPS.npy     CHIPS (N, 150, 150, 3) uint8 RGB

Knows nothing of jetstream, and doesn't have dlib's weights: random ones take the same time. Half precision, channels
last, affine layers folded into the convolutions, one CUDA graph per batch. Times are from uint8 chips in host memory to
float32 embeddings there.
"""

import json
import sys
import time

import numpy as np
import torch
from torch import nn
from torch.nn import functional

# width of each block, and whether it halves the picture
BLOCKS = [(32, False)] * 3 + [(64, True)] + [(64, False)] * 3 + [(128, True)] + [(128, False)] * 2
BLOCKS += [(256, True)] + [(256, False)] * 2 + [(256, True)]
CALLS = {1: 300, 2: 300, 256: 40}


class Block(nn.Module):
    def __init__(self, inputs: int, outputs: int, halves: bool) -> None:
        super().__init__()
        self.halves, self.more = halves, outputs - inputs
        self.first = nn.Conv2d(inputs, outputs, 3, stride=2 if halves else 1, padding=0 if halves else 1)
        self.second = nn.Conv2d(outputs, outputs, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        branch = self.second(functional.relu(self.first(x)))
        if not self.halves:
            return functional.relu(branch + x)
        x = functional.pad(functional.avg_pool2d(x, 2), (0, 0, 0, 0, 0, self.more))
        short = x.shape[-1] - branch.shape[-1]  # dlib fills the smaller of both with zeros at its end
        return functional.relu(functional.pad(branch, (0, short, 0, short)) + x)


class Network(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 32, 7, stride=2)
        blocks, width = [], 32
        for outputs, halves in BLOCKS:
            blocks.append(Block(width, outputs, halves))
            width = outputs
        self.blocks, self.head = nn.Sequential(*blocks), nn.Linear(width, 128, bias=False)

    def forward(self, chips: torch.Tensor) -> torch.Tensor:
        """(N, 150, 150, 3) uint8 to (N, 128) float32."""
        x = chips.permute(0, 3, 1, 2).to(self.stem.weight.dtype, memory_format=torch.channels_last)
        x = functional.max_pool2d(functional.relu(self.stem((x - 115) / 256)), 3, stride=2)
        return self.head(self.blocks(x).mean(dim=(2, 3))).float()


class Session:
    """One batch size: from host memory to host memory."""

    def __init__(self, network: Network, count: int) -> None:
        self.is_cuda = next(network.parameters()).is_cuda
        device = "cuda" if self.is_cuda else "cpu"
        self.network = network
        self.chips = torch.zeros((count, 150, 150, 3), dtype=torch.uint8, device=device)
        if not self.is_cuda:
            return
        self.answer_here = torch.empty((count, 128), pin_memory=True)
        side = torch.cuda.Stream()
        with torch.cuda.stream(side):
            for _ in range(3):
                network(self.chips)
        torch.cuda.synchronize()
        self.graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self.graph):
            self.answer = network(self.chips)

    def embed(self, chips: torch.Tensor) -> np.ndarray:
        if not self.is_cuda:
            return self.network(chips).numpy()
        self.chips.copy_(chips, non_blocking=True)
        self.graph.replay()
        self.answer_here.copy_(self.answer, non_blocking=True)
        torch.cuda.synchronize()
        return self.answer_here.numpy()


@torch.inference_mode()
def main() -> None:
    chips = torch.from_numpy(np.load(sys.argv[1]))
    is_cuda = torch.cuda.is_available()
    torch.backends.cudnn.benchmark = True
    network = Network().eval().to("cuda" if is_cuda else "cpu", torch.float16 if is_cuda else torch.float32)
    network = network.to(memory_format=torch.channels_last)
    times_ms = {}
    for count, calls in CALLS.items():
        session = Session(network, count)
        some = chips[torch.arange(count) % len(chips)].contiguous()
        kinds = {"page-locked": some.pin_memory(), "ordinary memory": some} if is_cuda else {"ordinary memory": some}
        for kind, host in kinds.items():
            times_ms[f"{count} chips, {kind}"] = measured(session, host, calls if is_cuda else 2)
    device = torch.cuda.get_device_name() if is_cuda else "the CPU"
    print(json.dumps({"device": device, "torch": torch.__version__, "ms": times_ms}))


def measured(session: Session, host: torch.Tensor, calls: int) -> list[float]:
    found = []
    for number in range(calls + 5 * session.is_cuda):
        began_ns = time.perf_counter_ns()
        session.embed(host)
        if number >= 5 * session.is_cuda:
            found.append((time.perf_counter_ns() - began_ns) / 1e6)
    return found


if __name__ == "__main__":
    main()
