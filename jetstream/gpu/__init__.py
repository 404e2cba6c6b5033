"""Faces found on the GPU from the frame to the answer: CUDA kernels around TensorRT's networks."""
