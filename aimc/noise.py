"""Random numbers at the price of a product, each written as one chain that fuses into whatever uses it.

On a CPU `jax.random` costs more than the product it disturbs: its Threefry is lowered to a loop over whole arrays
there, and its inverse error function evaluates two branches. Here the same Threefry-2x32 (Salmon et al. 2011) is
written out round by round, so that the compiler fuses it, with what follows, into whatever uses the numbers; nothing
is stored in between.

`HASH` is a second generator, about four times cheaper: `jax.random.key(seed, impl=HASH)`. Its keys are derived by
Threefry; only the counter inside one draw goes through a shorter hash. docs/random-numbers.md has the evidence.
"""

from collections.abc import Hashable
from math import prod
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key, UInt, UInt32

try:
    from jax.extend.random import define_prng_impl
except ImportError:  # an older or newer jax: everything but HASH works
    define_prng_impl = None

ROTATIONS = ((13, 15, 26, 6), (17, 29, 16, 24))
PARITY = 0x1BD11BDA

# Φ⁻¹((1 + u)/2) = u P(√−ln(1 − u²)): least-squares fit on u² < 1 − e^−16.8, largest error 2e-4 in float32.
PROBIT = (
    1.25844543,
    -0.0598564539,
    0.563189236,
    -0.435816704,
    0.446873675,
    -0.232962575,
    0.0622667887,
    -0.00837945382,
    0.000453042678,
)

# Φ⁻¹(1 − p/2) = (1 − p) P(12 + log₂ p(2 − p)) down to p = 2⁻³¹: minimax fit, weighted by the density, largest error
# 5e-4 in float32.
TAIL = (
    3.84207821,
    -0.169641972,
    -0.00321471621,
    -0.000119962511,
    -5.46227056e-06,
    1.88844453e-07,
    5.15474916e-08,
    1.82577398e-09,
    -5.09401618e-11,
    -2.68751709e-12,
)
# log₂ f − (f − 1) on [1, 2): largest error 2e-4, none at the ends. Its constant also takes the bias of the exponent
# and adds the 12 of TAIL.
LOG2 = (
    -116.527985,
    3.10462093,
    -2.14758015,
    0.653257549,
    -0.0823122114,
)

# Multipliers and shifts of triple32 (Wellons, "hash-prospector", 2018): the 32-bit bijection with three products whose
# avalanche he measured as closest to ideal.
MULTIPLIERS = (0xED5AD4BB, 0xAC4C1B51, 0x31848BAB)
SHIFTS = (17, 11, 15, 14)

# The first word of a Threefry counter says what is derived, so that no child equals another kind's child or a stream.
SPLIT, FOLD, STREAM = 0, 1, 2


def normal(key: Key[Array, ""], shape: tuple[int, ...]) -> Float[Array, "*shape"]:
    """Independent standard normal numbers; key is consumed.

    Threefry keys give the bits that `jax.random.bits` gives, on any device layout; the numbers agree with those of
    `jax.random.normal` to 2e-4 up to 4 standard deviations, and end at ±5.3. Those of `HASH` keys are within 5e-4 of
    the exact quantile of their bits and end at ±6.2. Keys of other generators go to `jax.random.normal`.
    """
    if _is_hash(key):
        return _quantile(random_bits(key, shape))
    if not _is_served(key, shape):
        return jax.random.normal(key, shape)
    u = (random_bits(key, shape) >> 9).astype(jnp.float32) * np.float32(2.0**-22) - np.float32(1.0 - 2.0**-23)
    root = jnp.sqrt(-jnp.log((1.0 - u) * (1.0 + u)))
    return u * _horner(PROBIT, root)


def uniform(key: Key[Array, ""], shape: tuple[int, ...]) -> Float[Array, "*shape"]:
    """The numbers of `jax.random.uniform(key, shape)`, in [0, 1), bit for bit; key is consumed."""
    if not _is_hash(key) and not _is_served(key, shape):
        return jax.random.uniform(key, shape)
    mantissa = random_bits(key, shape) >> 9 | np.uint32(0x3F800000)
    return jax.lax.bitcast_convert_type(mantissa, jnp.float32) - 1.0


def random_bits(key: Key[Array, ""], shape: tuple[int, ...]) -> UInt32[Array, "*shape"]:
    """32 random bits a number, those of `jax.random.bits(key, shape)`; key is consumed.

    Raises ValueError when a `HASH` key is asked for 2³² numbers or more at once: its counter has 32 bits.
    """
    if _is_hash(key):
        return _hash_bits(jax.random.key_data(key), 32, shape)
    if not _is_served(key, shape):
        return jax.random.bits(key, shape)
    words = jax.random.key_data(key)
    count = jax.lax.iota(jnp.uint32, prod(shape)).reshape(shape)
    x, y = _threefry(words, jnp.zeros_like(count), count)
    return x ^ y


def _is_served(key: Key[Array, ""], shape: tuple[int, ...]) -> bool:
    return str(jax.random.key_impl(key)) == "threefry2x32" and prod(shape) < 2**32


def _is_hash(key: Key[Array, ""]) -> bool:
    return define_prng_impl is not None and jax.random.key_impl(key) == HASH


def _horner(coefficients: tuple[float, ...], x: Array) -> Array:
    value = jnp.full_like(x, coefficients[-1])
    for coefficient in reversed(coefficients[:-1]):
        value = value * x + coefficient
    return value


def _quantile(bits: UInt32[Array, "*shape"]) -> Float[Array, "*shape"]:
    """Standard normal numbers from 32 bits each, without a branch, a root or a logarithm.

    The bits, read as an odd signed integer a, are a sign and a tail probability p = |a|/2³¹: small p keeps its relative
    precision as a float, so the tails are as finely resolved as the centre. log₂ p(2 − p) comes from the bits of the
    float, of which exponent and mantissa together are already a piecewise linear logarithm.
    """
    signed = jax.lax.bitcast_convert_type(bits | np.uint32(1), jnp.int32).astype(jnp.float32) * np.float32(2.0**-31)
    p = jnp.abs(signed)
    both = jax.lax.bitcast_convert_type(p * (2.0 - p), jnp.int32)
    linear = both.astype(jnp.float32) * np.float32(2.0**-23)
    mantissa = jax.lax.bitcast_convert_type(both & np.int32(0x7FFFFF) | np.int32(0x3F800000), jnp.float32)
    one = jax.lax.bitcast_convert_type(bits & np.uint32(0x80000000) | np.uint32(0x3F800000), jnp.float32)
    return (one - signed) * _horner(TAIL, linear + _horner(LOG2, mantissa))


def _threefry(key: UInt32[Array, "2"], x: Any, y: Any) -> tuple[Array, Array]:
    """Threefry-2x32 with 20 rounds (Salmon et al. 2011): the block that key makes of the counter (x, y)."""
    schedule = (key[0], key[1], key[0] ^ key[1] ^ np.uint32(PARITY))
    x, y = x + schedule[0], y + schedule[1]
    for group in range(5):
        for distance in ROTATIONS[group % 2]:
            x = x + y
            y = x ^ (y << np.uint32(distance) | y >> np.uint32(32 - distance))
        x = x + schedule[(group + 1) % 3]
        y = y + schedule[(group + 2) % 3] + np.uint32(group + 1)
    return x, y


def _seed(seed: Array) -> UInt32[Array, "2"]:
    high = jax.lax.shift_right_logical(seed, 32) if seed.dtype.itemsize > 4 else jnp.zeros_like(seed)
    return jnp.stack([high.astype(jnp.uint32), seed.astype(jnp.uint32)])


def _derive(key: UInt32[Array, "2"], kind: int, index: Array) -> UInt32[Array, "*shape 2"]:
    return jnp.stack(_threefry(key, jnp.full_like(index, kind), index), axis=-1)


def _split(key: UInt32[Array, "2"], shape: tuple[int, ...]) -> UInt32[Array, "*shape 2"]:
    return _derive(key, SPLIT, _count(shape))


def _fold_in(key: UInt32[Array, "2"], data: Any) -> UInt32[Array, "2"]:
    return _derive(key, FOLD, data.astype(jnp.uint32))


def _count(shape: tuple[int, ...]) -> UInt32[Array, "*shape"]:
    if prod(shape) >= 2**32:
        raise ValueError(f"a HASH key gives fewer than 2**32 numbers at once, but shape is {shape}; split the key")
    return jax.lax.iota(jnp.uint32, prod(shape)).reshape(shape)


def _hash_bits(key: UInt32[Array, "2"], bit_width: int, shape: tuple[int, ...]) -> UInt[Array, "*shape"]:
    """8, 16, 32 or 64 random bits a number."""
    count = _count(shape)
    low = _hash(key, 0, count)
    if bit_width == 64:
        return low.astype(jnp.uint64) | _hash(key, 1, count).astype(jnp.uint64) << 32
    return low if bit_width == 32 else (low >> (32 - bit_width)).astype(f"uint{bit_width}")


def _hash(key: UInt32[Array, "2"], stream: int, count: Array) -> Array:
    """triple32 of count with a word added before each product, the words being two Threefry blocks of the key.

    The last addition makes a function of the permutation, whose words repeat as random ones do (Davies and Meyer).
    """
    kind, block = np.uint32(STREAM), np.uint32(2 * stream)
    words = (*_threefry(key, kind, block), *_threefry(key, kind, block + np.uint32(1)))
    start = count + words[0]
    x = start ^ start >> SHIFTS[0]
    for multiplier, word, shift in zip(MULTIPLIERS, words[1:], SHIFTS[1:], strict=True):
        x = x * np.uint32(multiplier) + word
        x = x ^ x >> shift
    return x + start


def __getattr__(name: str) -> Any:
    if name == "HASH":
        raise ImportError(
            f"aimc.noise.HASH needs jax.extend.random.define_prng_impl, which jax {jax.__version__} lacks"
        )
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


if define_prng_impl is not None:
    HASH: Hashable = define_prng_impl(
        key_shape=(2,), seed=_seed, split=_split, random_bits=_hash_bits, fold_in=_fold_in, name="hash32", tag="hash"
    )
