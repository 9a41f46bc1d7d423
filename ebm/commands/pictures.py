"""The page of pictures that `ebm train` and `ebm evaluate` write."""

import sys
from pathlib import Path

SHOWN = 64  # samples
SWEEPS = 1000  # that each of them is away from its start


def write_pictures(directory: Path, path: Path) -> None:
    """Weights, data, samples and looks at validation rows of a run, as one HTML page."""
    import jax
    import numpy as np

    from ebm import run
    from ebm.data import n_states
    from ebm.figures import model_figure, write_page

    found = run.model(directory)
    _, parts = run.open_data(directory)
    start_key, sweep_key = jax.random.split(jax.random.key(0))
    law, params = found.law, found.params
    chains = jax.jit(law.sweeps, static_argnums=3)(sweep_key, params, law.start(start_key, params, SHOWN), SWEEPS)
    samples = np.asarray(law.visible(params, chains))
    title = f"{directory.name}: {found.settings.model}, {law.words()}, step {found.step}"
    states = n_states(parts.train) if law.kind == "symbols" else 1
    picture = model_figure(law.filters(params), samples, parts.train, title, run.read_looks(directory), states)
    write_page(picture, path)
    print(f"wrote {path}", file=sys.stderr)
