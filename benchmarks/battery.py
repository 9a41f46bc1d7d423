"""Batteries of statistical tests on the raw 32-bit words of a generator.

    python benchmarks/battery.py BATTERY STREAM [--seed N] [--impl hash|threefry2x32]

BATTERY: `small`, `crush` or `big` are those of TestU01 (Debian: libtestu01-0-dev, in non-free, and gcc; 10 s, half an
hour and some hours); `dieharder` is `dieharder -a` (an hour or more); `raw` writes the words to standard output.
STREAM says whose words are read, one after another:

    counter      those of one draw of 2²² words, then of the next key: key, folded with 0, 1, 2, ...
    reversed     the same, with the bits of each word reversed (TestU01 looks at the high bits more than at the low)
    first        the first word of each of many sibling keys: 2¹⁸ of a split of the folded key, then of the next
    interleaved  word by word in turn from the draws of 64 keys with neighbouring seeds
"""

import argparse
import contextlib
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from aimc import noise

TESTU01 = ("small", "crush", "big")


def counter(key: Array, step: Array) -> Array:
    return noise.random_bits(jax.random.fold_in(key, step), (2**22,))


def reverse(key: Array, step: Array) -> Array:
    words = counter(key, step)
    for mask, shift in ((0x55555555, 1), (0x33333333, 2), (0x0F0F0F0F, 4), (0x00FF00FF, 8), (0x0000FFFF, 16)):
        words = words >> shift & np.uint32(mask) | (words & np.uint32(mask)) << shift
    return words


def first(key: Array, step: Array) -> Array:
    siblings = jax.random.split(jax.random.fold_in(key, step), 2**18)
    return jax.vmap(lambda sibling: noise.random_bits(sibling, ()))(siblings)


def interleaved(keys: Array, step: Array) -> Array:
    return jax.vmap(lambda key: noise.random_bits(jax.random.fold_in(key, step), (2**16,)))(keys).T


STREAMS: dict[str, Callable[[Array, Array], Array]] = {
    "counter": counter, "reversed": reverse, "first": first, "interleaved": interleaved,
}  # fmt: skip


def words(stream: str, impl: str, seed: int) -> Iterator[np.ndarray]:
    """Blocks of words, without end."""

    def key(seed: Array | int) -> Array:
        return jax.random.key(seed, impl=noise.HASH if impl == "hash" else impl)

    start = jax.vmap(key)(seed + jnp.arange(64)) if stream == "interleaved" else key(seed)
    draw = jax.jit(STREAMS[stream])
    for step in range(2**32):
        yield np.ascontiguousarray(draw(start, jnp.uint32(step)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("battery", choices=[*TESTU01, "dieharder", "raw"])
    parser.add_argument("stream", choices=STREAMS)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--impl", choices=["hash", "threefry2x32"], default="hash")
    options = parser.parse_args()
    blocks = words(options.stream, options.impl, options.seed)
    if options.battery == "raw":
        for block in blocks:
            sys.stdout.buffer.write(block.data)
    with tempfile.TemporaryDirectory() as directory:
        if options.battery in TESTU01:
            program, source = Path(directory) / "battery", Path(__file__).with_suffix(".c")
            libraries = ["-ltestu01", "-ltestu01probdist", "-ltestu01mylib", "-lm"]
            subprocess.run(["gcc", "-O2", str(source), "-o", str(program), *libraries], check=True)
            command = [str(program), options.battery]
        else:
            command = ["dieharder", "-a", "-g", "200"]
        battery = subprocess.Popen(command, stdin=subprocess.PIPE)
        with contextlib.suppress(BrokenPipeError):  # it has read enough
            for block in blocks:
                battery.stdin.write(block.data)  # type: ignore
        battery.wait()
    sys.exit(battery.returncode)


if __name__ == "__main__":
    main()
