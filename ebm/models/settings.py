"""What determines a training run, as one record: the names and the defaults of the command line."""

from dataclasses import dataclass, field

from ebm.hardware import Hardware


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What determines a run, together with the data; `ebm.settings` says how the defaults were chosen."""

    data: str = "digits"
    """`digits`, `bars-and-stripes`, `planted-ising`, or a file: .npy, .csv, or an MNIST name (idx3-ubyte, also .gz)."""
    size: int = 4
    """Side of bars and stripes, or of the grid of the planted Ising machine."""
    model: str = "rbm"
    """The energy: `rbm` for bits, `gaussian` for real numbers, `potts` for symbols; `boltzmann`, bits on a graph; `mlp`
    and `conv`, networks."""
    hidden: int = 16
    """Hidden units; of `boltzmann` nodes beside those of the data, 0 allowed; of `mlp` units of every hidden layer, of
    `conv` filters of the first one, twice as many in each next."""
    graph: str = "complete"
    """Who is coupled to whom (boltzmann): `complete`, `grid`, `king`, `chimera`, or a file with an edge a line."""
    layers: int = 2
    """Hidden layers (mlp, conv)."""
    units: str | None = None
    """What a row holds, `reals` or `bits` (mlp, conv). Default: reals."""
    sampler: str | None = None
    """What moves the chains of real units (mlp, conv): `langevin`, `mala` or `hmc`. Default: langevin."""
    step_size: float = 0.02
    """Their step, in variances of the data (mlp, conv)."""
    rule: str = "pcd"
    """The learning rule: `pcd`, `cd`, `tempered`, `pseudo-likelihood`, `score-matching` (real units) or `nce`."""
    centred: bool = False
    """Centre the gradient at moving averages of the units' means (rbm, potts)."""
    seed: int = 1
    """Every random number of the run follows from it."""
    steps: int = 12000
    """Training steps."""
    batch: int = 128
    """Rows of data a step."""
    chains: int = 128
    """Persistent chains; `cd` has one a row of the batch."""
    gibbs_steps: int = 10
    """Sweeps of every chain a step, or steps of chains of real units."""
    temperatures: int = 8
    """Temperatures of the `tempered` rule."""
    noise: float = 0.5
    """Noise that `score-matching` adds to the data, in standard deviations of the data."""
    learning_rate: float = 0.04
    """Adam's first learning rate; it falls to 0 along a cosine."""
    weight_decay: float = 0.02
    """Fraction of every weight lost a step, times the learning rate; biases are left alone."""
    validation: bool = False
    """Hold out every fifth training row; the state that is best on them is the model."""
    look_every: int = 500
    """Steps between two looks at the validation rows."""
    patience: int = 0
    """Looks without a better likelihood after which training stops; 0: never."""
    hardware: Hardware = field(default_factory=Hardware)
    """The machine of the negative phase; with an array, the chip is programmed anew at every step."""


DEFAULTS = Settings()
