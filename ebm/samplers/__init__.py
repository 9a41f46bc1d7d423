"""Samplers, one file each: `init` and `step` kernels over explicit state that can be saved and resumed."""
