"""Write-verify: a cell is read after a write and written again while it is off target."""

from collections.abc import Callable
from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Key

from aimc.devices.base import Cells, Device, Level, static
from aimc.noise import normal


@jax.tree_util.register_dataclass
@dataclass(frozen=True, kw_only=True)
class WriteVerify:
    """Accept a cell within `acceptance` of its target, else write it again, up to `max_writes` times in all.

    `acceptance` and `read_std`, the error of the verifying read, are in units of g_max. Published programming errors
    (all of `aimc.devices` but `Gaussian`) already are what a chip's own write-verify leaves; use this where the
    device states the error of a single write.
    """

    acceptance: Level
    max_writes: int = static(10)
    read_std: Level = 0.0

    def __post_init__(self) -> None:
        if not isinstance(self.max_writes, int) or self.max_writes < 1:
            raise ValueError(f"verify.max_writes must be a whole number of writes, at least 1, got {self.max_writes!r}")


def write(
    key: Key[Array, ""],
    target: Float[Array, "n_tiles n_row n"],
    device: Device,
    verify: WriteVerify | None,
    seen: Callable[[Cells], Float[Array, "n_tiles n_row n"]],
) -> tuple[Cells, Int[Array, ""], Int[Array, ""]]:
    """Cells written to `target`, the number of writes, and of row writes that follow each other.

    Without `verify` every cell is written once. With it, `seen` says what a noiseless read of the cells finds (stuck
    ones included, which use up their writes). Rows follow each other, all tiles at once, and a row is written again
    while any of its cells is off. Random: every write and every verifying read. A cell that is never accepted keeps its
    last write. Where one write errs by a Gaussian of deviation s, accepted cells err by that Gaussian cut at
    ±acceptance, and the number of writes is geometric with p = erf(acceptance / (s √2)), cut at `max_writes`.
    """
    size, rows = jnp.asarray(target.size, jnp.int32), jnp.asarray(target.shape[1], jnp.int32)
    if verify is None:
        return device.write(key, target), size, rows
    check, most = verify, verify.max_writes

    def is_off(read_key: Key[Array, ""], cells: Cells) -> Bool[Array, "..."]:
        read = seen(cells) + check.read_std * normal(read_key, target.shape)
        return jnp.abs(read - target) > check.acceptance

    def again(carry: tuple) -> tuple:
        attempt, cells, off, n_writes, n_cycles = carry
        write_key, read_key = jax.random.split(jax.random.fold_in(key, attempt))
        fresh = device.write(write_key, target)
        cells = jax.tree.map(lambda new, old: jnp.where(_over(off, new), new, old), fresh, cells)
        n_writes += jnp.sum(off, dtype=jnp.int32)
        n_cycles += jnp.sum(jnp.any(off, axis=(0, 2)), dtype=jnp.int32)
        return attempt + 1, cells, off & is_off(read_key, cells), n_writes, n_cycles

    write_key, read_key = jax.random.split(jax.random.fold_in(key, 0))
    cells = device.write(write_key, target)
    start = (jnp.asarray(1, jnp.int32), cells, is_off(read_key, cells), size, rows)
    _, cells, _, n_writes, n_cycles = jax.lax.while_loop(lambda c: (c[0] < most) & jnp.any(c[2]), again, start)
    return cells, n_writes, n_cycles


def _over(mask: Array, leaf: Array) -> Array:
    """A mask of cells, shaped to broadcast over what a cell remembers."""
    return mask.reshape(mask.shape + (1,) * (leaf.ndim - mask.ndim))
