"""What the digital computer costs: kernels of a workload on a GPU, and a program timed on a CPU."""
