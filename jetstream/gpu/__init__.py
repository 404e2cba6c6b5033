"""The device-resident path: frames are copied to the GPU, where kernels and TensorRT's networks do all the rest."""
