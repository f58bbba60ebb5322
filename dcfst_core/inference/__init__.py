"""The network on a device: fused, in one number format, as CUDA graphs, timed."""
