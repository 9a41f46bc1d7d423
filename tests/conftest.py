"""Settings every test shares: shape and type checks on, the compile cache on, random keys never reused by accident."""

import os
from pathlib import Path

os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(Path(__file__).parent.parent / ".jax_cache"))
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")

from jaxtyping import install_import_hook

install_import_hook(["aimc", "hnn_sat", "ebm"], "beartype.beartype")
