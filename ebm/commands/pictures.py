"""The page of pictures that `ebm train` and `ebm evaluate` write."""

import sys
from pathlib import Path


def write_pictures(directory: Path, path: Path) -> None:
    """Weights, data, samples and looks at validation rows of a run, as one HTML page."""
    import jax
    import numpy as np

    from ebm import run
    from ebm.figures import model_figure, write_page
    from ebm.samplers import gibbs

    found = run.model(directory)
    _, parts = run.open_data(directory)
    start_key, sweep_key = jax.random.split(jax.random.key(0))
    chains = jax.jit(gibbs.sweeps, static_argnums=3)(
        sweep_key, found.params, gibbs.init(start_key, found.params, 64), 1000
    )
    title = f"{directory.name}: {found.settings.model}, {found.settings.hidden} hidden units, step {found.step}"
    picture = model_figure(found.params, np.asarray(chains.visible), parts.train, title, run.read_looks(directory))
    write_page(picture, path)
    print(f"wrote {path}", file=sys.stderr)
