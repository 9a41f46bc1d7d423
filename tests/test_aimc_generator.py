"""The hash generator: an ordinary key, the recipe by other means, and the statistics that its use relies on.

Seeds are fixed; a bound is 4.5 standard errors for single statistics and 5.5 for the largest of thousands. The 2-D
Ising model is at the end: it has found fault with generators that pass everything before it.
"""

import importlib.util
import os
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.extend.random import threefry_2x32
from scipy import stats

from aimc import noise
from aimc.noise import HASH, normal, random_bits, uniform

KEY = jax.random.key(11, impl=HASH)
BOUND, LARGEST = 4.5, 5.5


def threefry(key, counter):
    """jax's own Threefry-2x32 on one counter of two words."""
    return [int(word) for word in threefry_2x32(jnp.asarray(key, jnp.uint32), jnp.asarray(counter, jnp.uint32))]


def triple32(words, count):
    """The recipe of the page, in Python's integers."""
    start = x = (count + words[0]) % 2**32
    x ^= x >> 17
    x = (x * 0xED5AD4BB + words[1]) % 2**32
    x ^= x >> 11
    x = (x * 0xAC4C1B51 + words[2]) % 2**32
    x ^= x >> 15
    x = (x * 0x31848BAB + words[3]) % 2**32
    return ((x ^ x >> 14) + start) % 2**32


# --- an ordinary key ------------------------------------------------------------------------------------------------


def test_keys_and_words_are_those_of_the_recipe():
    """Children and streams by jax's Threefry, words by Python's integers."""
    for seed in (0, 11, 2**31 - 1, -1):
        key = jax.random.key(seed, impl=HASH)
        data = [int(word) for word in jax.random.key_data(key)]
        assert data == [0, seed % 2**32]
        children = jax.random.key_data(jax.random.split(key, 5)).tolist()
        assert children == [threefry(data, (0, i)) for i in range(5)]
        for folded in (0, 1, 2**32 - 1):
            assert jax.random.key_data(jax.random.fold_in(key, folded)).tolist() == threefry(data, (1, folded))
        words = threefry(data, (2, 0)) + threefry(data, (2, 1))
        expected = [triple32(words, i) for i in range(600)]
        assert random_bits(key, (600,)).tolist() == expected
        assert random_bits(key, (20, 5, 6)).ravel().tolist() == expected
        assert int(random_bits(key, ())) == expected[0]
        assert jax.random.bits(key, (600,), "uint16").tolist() == [word >> 16 for word in expected]
        assert jax.random.bits(key, (600,), "uint8").tolist() == [word >> 24 for word in expected]


def test_the_words_of_seed_0_never_change():
    words = random_bits(jax.random.fold_in(jax.random.key(0, impl=HASH), 7), (4,))
    assert words.tolist() == [4276020664, 3241026973, 837521075, 4213984443]


def test_jax_random_gives_the_same_bits_and_accepts_the_key_everywhere():
    for shape in ((), (7,), (33, 129)):
        assert np.array_equal(random_bits(KEY, shape), jax.random.bits(KEY, shape))
        assert np.array_equal(uniform(KEY, shape), jax.random.uniform(KEY, shape))
    assert sorted(jax.random.permutation(KEY, 20).tolist()) == list(range(20))
    assert 0.4 < float(jax.random.bernoulli(KEY, 0.5, (4000,)).mean()) < 0.6
    assert int(jax.random.categorical(KEY, jnp.array([-jnp.inf, 0.0]))) == 1
    assert set(jax.random.randint(KEY, (200,), 0, 3).tolist()) == {0, 1, 2}
    assert jax.random.gamma(KEY, 2.0, (3,)).shape == (3,)
    assert jax.random.split(KEY, (2, 3)).shape == (2, 3)
    assert jax.random.clone(KEY) == KEY


def test_jit_vmap_scan_and_grad_leave_the_numbers_as_they_are():
    keys = jax.random.split(KEY, 3)
    alone = np.stack([random_bits(key, (8,)) for key in keys])
    assert np.array_equal(jax.jit(jax.vmap(lambda key: random_bits(key, (8,))))(keys), alone)
    assert np.array_equal(jax.vmap(lambda key: jax.random.bits(key, (8,)))(keys), alone)
    folded = np.stack([random_bits(jax.random.fold_in(KEY, i), (8,)) for i in range(3)])
    scanned = jax.lax.scan(lambda _, i: (None, random_bits(jax.random.fold_in(KEY, i), (8,))), None, jnp.arange(3))[1]
    assert np.array_equal(scanned, folded)
    slope = jax.grad(lambda scale: (scale * normal(KEY, (8,))).sum())(1.0)
    assert float(slope) == pytest.approx(float(normal(KEY, (8,)).sum()), rel=1e-5)
    together = jax.jit(jax.vmap(lambda key: normal(key, (8,))))(keys)
    assert np.allclose(together, np.stack([normal(key, (8,)) for key in keys]), rtol=1e-5, atol=1e-6)


def test_a_stored_key_continues_where_it_was():
    stored = np.asarray(jax.random.key_data(KEY))
    restored = jax.random.wrap_key_data(jnp.asarray(stored), impl=HASH)
    assert restored == KEY
    assert np.array_equal(normal(restored, (5,)), normal(KEY, (5,)))


@pytest.mark.parametrize("draw", [random_bits, uniform, normal])
def test_more_numbers_than_the_counter_has_are_refused(draw):
    with pytest.raises(ValueError, match=r"fewer than 2\*\*32 numbers at once, but shape is \(65536, 65536\)"):
        jax.eval_shape(lambda: draw(KEY, (2**16, 2**16)))


def test_without_define_prng_impl_everything_but_hash_works(monkeypatch):
    monkeypatch.delattr(jax.extend.random, "define_prng_impl")
    spec = importlib.util.spec_from_file_location("noise_without", noise.__file__)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert np.array_equal(module.normal(jax.random.key(0), (5,)), normal(jax.random.key(0), (5,)))
    with pytest.raises(
        ImportError, match=r"aimc.noise.HASH needs jax.extend.random.define_prng_impl, which jax .* lack"
    ):
        module.HASH


def test_words_do_not_depend_on_devices_and_64_bits_are_two_words():
    """In a process of its own: four devices, 64-bit types."""
    script = """
import jax, jax.numpy as jnp, numpy as np
from aimc.noise import HASH, normal, random_bits
key = jax.random.key(3, impl=HASH)
mesh = jax.sharding.Mesh(np.array(jax.devices()), ("x",))
spread = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec("x"))
one = random_bits(key, (8, 6))
many = jax.jit(lambda key: random_bits(key, (8, 6)), out_shardings=spread)
compiled = many.lower(key).compile()
assert len(compiled(key).sharding.device_set) == 4
assert "all-" not in compiled.as_text() and "collective" not in compiled.as_text()
assert np.array_equal(compiled(key), one)
long = np.asarray(jax.random.bits(key, (8, 6), "uint64"))
assert np.array_equal(long.astype(np.uint32), one)
assert abs(np.corrcoef((long >> 32).ravel(), np.asarray(one).ravel().astype(float))[0, 1]) < 0.6
assert jax.random.key_data(jax.random.key(2**40 + 5, impl=HASH)).tolist() == [256, 5]
assert normal(key, (3,)).dtype == jnp.float32
"""
    environment = os.environ | {"XLA_FLAGS": "--xla_force_host_platform_device_count=4", "JAX_ENABLE_X64": "1"}
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_nothing_is_stored_between_bits_and_use():
    x = jnp.zeros((64, 512))
    compiled = jax.jit(lambda key, x: x + normal(key, x.shape)).lower(KEY, x).compile()
    assert compiled.memory_analysis().temp_size_in_bytes <= 256
    many = jax.jit(jax.vmap(lambda key, x: x + normal(key, x.shape)))
    keys = jax.random.split(KEY, 64)
    assert many.lower(keys, x).compile().memory_analysis().temp_size_in_bytes <= 64 * 64  # no more than a key's words


# --- the law --------------------------------------------------------------------------------------------------------


def bits_of(tail):
    """The word whose tail probability is tail, positive sign."""
    return np.clip(np.floor(tail * 2.0**31), 0, 2**31 - 1).astype(np.uint32)


def test_the_transformation_is_the_gaussian_quantile_function():
    """Against SciPy in float64, on a grid and over 31 octaves of the tail; signs are symmetric."""
    quantile = jax.jit(noise._quantile)
    words = np.unique(bits_of(np.concatenate([np.linspace(0, 1, 400_001), 2.0 ** -np.linspace(0, 31, 100_001)])))
    exact = stats.norm.isf((words | 1) * 2.0**-32)
    ours = np.asarray(quantile(words), np.float64)
    error = np.abs(ours - exact)
    assert error.max() < 6e-4
    assert (error * stats.norm.pdf(exact)).max() < 2.5e-5  # what a Kolmogorov–Smirnov test would see
    assert 6.22 < ours.max() < 6.24
    assert np.isfinite(ours).all()
    mirrored = np.asarray(quantile(np.uint32(0) - (words | np.uint32(1))), np.float64)
    assert np.array_equal(mirrored, -ours)
    middle = np.asarray(quantile(bits_of((np.arange(2**21) + 0.5) * 2.0**-21)), np.float64)
    assert abs(np.mean(middle**2) - 1) < 5e-5
    assert abs(np.mean(middle**4) - 3) < 5e-4


@pytest.fixture(scope="module")
def sample():
    """4.2 million numbers of one draw."""
    return np.asarray(jax.jit(lambda key: normal(key, (2048, 2048)))(KEY), np.float64)


def test_a_large_sample_has_the_moments_the_tails_and_the_law_of_a_gaussian(sample):
    flat = sample.ravel()
    n = flat.size
    assert abs(flat.mean() * np.sqrt(n)) < BOUND
    assert abs((flat.var() - 1) / np.sqrt(2 / n)) < BOUND
    assert abs(stats.skew(flat) / np.sqrt(6 / n)) < BOUND
    assert abs(stats.kurtosis(flat) / np.sqrt(24 / n)) < BOUND
    for threshold in (1.0, 2.0, 3.0, 4.0, 4.5):
        expected = 2 * n * stats.norm.sf(threshold)
        assert abs((np.abs(flat) > threshold).sum() - expected) / np.sqrt(expected) < BOUND
    assert stats.kstest(flat, "norm").pvalue > 1e-4


def test_neighbours_in_a_draw_are_independent(sample):
    """Lags 1 to 8, the row and its neighbours, powers of two; products of the numbers and of their squares."""
    flat = sample.ravel()
    squares = (flat**2 - 1) / np.sqrt(2)
    for lag in {*range(1, 9), 2047, 2048, 2049, *(2**k for k in range(21))}:
        for x in (flat, squares):
            assert abs(np.mean(x[:-lag] * x[lag:]) * np.sqrt(flat.size - lag)) < BOUND, lag


def test_pairs_of_words_are_equally_distributed():
    """χ² over 256 × 256 cells of two consecutive words: high with high, low with low, high with low byte."""
    words = np.asarray(random_bits(KEY, (2**23,))).reshape(-1, 2)
    for first, second in ((24, 24), (0, 0), (24, 0), (12, 12)):
        cell = (words[:, 0] >> first & 255) * 256 + (words[:, 1] >> second & 255)
        chi2 = stats.chisquare(np.bincount(cell, minlength=2**16)).statistic
        assert abs(chi2 - 65535) / np.sqrt(2 * 65535) < BOUND


def test_every_bit_is_a_fair_coin_and_repeats_no_neighbour():
    words = np.asarray(random_bits(KEY, (2**22,)))
    for shift in range(32):
        bit = (words >> shift & 1).astype(np.int8)
        assert abs(bit.mean() - 0.5) * 2 * np.sqrt(bit.size) < BOUND
        assert abs((bit[1:] ^ bit[:-1]).mean() - 0.5) * 2 * np.sqrt(bit.size) < BOUND


def collisions_z(words):
    """Poisson standard errors of the number of equal pairs among random words."""
    expected = words.size * (words.size - 1) / 2**33
    _, counts = np.unique(words, return_counts=True)
    return ((counts * (counts - 1) // 2).sum() - expected) / np.sqrt(expected)


def test_words_repeat_as_often_as_random_words_do():
    """In one draw (a permutation of the counter would never repeat) and among the first words of siblings and seeds."""
    assert abs(collisions_z(np.asarray(random_bits(KEY, (2**22,))))) < BOUND
    first = jax.jit(jax.vmap(lambda key: random_bits(key, ())))
    index = jnp.arange(2**20)
    families = (
        jax.random.split(KEY, 2**20),
        jax.vmap(lambda i: jax.random.key(i, impl=HASH))(index),
        jax.vmap(lambda i: jax.random.fold_in(KEY, i))(index),
    )
    for keys in families:
        words = np.asarray(first(keys))
        assert abs(collisions_z(words)) < BOUND
        for shift in (0, 8, 16, 24):
            chi2 = stats.chisquare(np.bincount(words >> shift & 255, minlength=256)).statistic
            assert abs(chi2 - 255) / np.sqrt(2 * 255) < BOUND


def test_streams_of_related_keys_are_independent():
    """Correlations between all pairs of 64 related keys at the same place: the largest and their sum of squares."""
    key = jax.random.key(5, impl=HASH)
    child = [key]
    for _ in range(63):
        child.append(jax.random.split(child[-1])[0])
    data = np.zeros((64, 2), np.uint32)
    data[np.arange(64), np.arange(64) // 32] = 1 << np.arange(64, dtype=np.uint32) % 32
    families = {
        "neighbouring seeds": jax.vmap(lambda i: jax.random.key(i, impl=HASH))(jnp.arange(64)),
        "siblings": jax.random.split(key, 64),
        "folded integers": jax.vmap(lambda i: jax.random.fold_in(key, i))(jnp.arange(64)),
        "parent and child": jnp.stack(child),
        "keys of one bit": jax.random.wrap_key_data(jnp.asarray(data), impl=HASH),
    }
    n = 2**14
    draw = jax.jit(jax.vmap(lambda key: random_bits(key, (n,))))
    for name, keys in families.items():
        words = np.asarray(draw(keys))
        for view in (words.astype(np.float64), (words & 0xFFFF).astype(np.float64), (words & 1).astype(np.float64)):
            z = (np.corrcoef(view) * np.sqrt(n))[np.triu_indices(64, 1)]
            assert np.abs(z).max() < LARGEST, name
            assert abs((z**2).sum() - z.size) / np.sqrt(2 * z.size) < BOUND, name


def test_flipping_any_bit_of_counter_or_key_flips_every_bit_half_of_the_time():
    """Avalanche over 32,768 random keys with random counters, all 32 bits of them: the largest and the squares."""
    rng = np.random.default_rng(2)
    n = 2**15
    keys = rng.integers(0, 2**32, (n, 2), dtype=np.uint32)
    counts = rng.integers(0, 2**32, n, dtype=np.uint32)
    hashed = jax.jit(jax.vmap(lambda key, count: noise._hash(key, 0, count)))

    def flips(keys, key_mask, count_mask):
        changed = np.asarray(hashed(keys, counts) ^ hashed(keys ^ key_mask, counts ^ count_mask))
        return np.unpackbits(changed.view(np.uint8).reshape(n, 4), axis=1).sum(0, dtype=np.int64)

    bits = np.uint32(1) << np.arange(32, dtype=np.uint32)
    nothing = np.uint32([0, 0])
    one_key = np.broadcast_to(keys[0], keys.shape)
    tables = (
        [flips(one_key, nothing, bit) for bit in bits],
        [flips(keys, nothing, bit) for bit in bits],
        [flips(keys, mask, np.uint32(0)) for bit in bits for mask in (np.uint32([bit, 0]), np.uint32([0, bit]))],
    )
    for table in tables:
        z = (np.array(table) - n / 2) / np.sqrt(n / 4)
        assert np.abs(z).max() < LARGEST
        assert abs((z**2).mean() - 1) < BOUND * np.sqrt(2 / z.size)


# --- the physics ----------------------------------------------------------------------------------------------------


def log_partition(beta, n):
    """ln Z of the n × n Ising torus, J = 1 (Kaufman 1949, eq. 4.6 in the form of Beale 1996)."""
    gamma = np.arccosh(np.maximum(np.cosh(2 * beta) ** 2 / np.sinh(2 * beta) - np.cos(np.arange(2 * n) * np.pi / n), 1))
    gamma[0] = 2 * beta + np.log(np.tanh(beta))
    odd, even = n / 2 * gamma[1::2], n / 2 * gamma[0::2]
    parts = [np.logaddexp(odd, -odd).sum(), np.logaddexp(even, -even).sum()]
    parts += [(np.abs(x) + np.log1p(-np.exp(-2 * np.abs(x)))).sum() for x in (odd, even)]
    signs = np.array([1, 1, 1, np.sign(gamma[0])])
    largest = max(parts)
    return n * n / 2 * np.log(2 * np.sinh(2 * beta)) - np.log(2) + largest + np.log(signs @ np.exp(parts - largest))


def exact_energy(beta, n):
    step = 1e-4
    return -(log_partition(beta + step, n) - log_partition(beta - step, n)) / (2 * step * n * n)


def test_the_exact_energy_is_that_of_enumeration():
    bits = np.arange(2**16)[:, None] >> np.arange(16) & 1
    spins = (2 * bits - 1).reshape(-1, 4, 4)
    energies = -(spins * np.roll(spins, 1, 1) + spins * np.roll(spins, 1, 2)).sum((1, 2))
    weights = np.exp(-0.3 * energies)
    assert log_partition(0.3, 4) == pytest.approx(np.log(weights.sum()), rel=1e-10)
    assert exact_energy(0.3, 4) == pytest.approx((weights @ energies) / weights.sum() / 16, rel=1e-6)


def around(other, colour):
    """The four neighbours of every site of one checkerboard colour, from the other colour's (n, n/2, ...) array."""
    even_row = (jnp.arange(other.shape[0]) % 2 == 0).reshape(-1, *(1,) * (other.ndim - 1))
    left = even_row if colour == 0 else ~even_row
    return (
        jnp.roll(other, 1, 0), jnp.roll(other, -1, 0), other,
        jnp.where(left, jnp.roll(other, 1, 1), jnp.roll(other, -1, 1)),
    )  # fmt: skip


def half_of_words(draw, key, other, colour, beta):
    """Heat bath of one colour, 32 chains a word: 16 bits each, and one shared word that makes the probability exact."""
    a, b, c, d = around(other, colour)
    random = draw(key, (17, *other.shape))
    odd, either = a ^ b ^ c ^ d, ((a ^ b) & c & d) | ((c ^ d) & a & b)
    majority = either | (a & b & c & d)
    tie = ~odd & ~(a & b & c & d) & (a | b | c | d)
    against = [int(2.0**48 / (1 + np.exp(4 * field * beta))) for field in (1, 2)]  # the local field is 2 or 4
    below = jnp.where(random[16] < np.uint32(against[0] % 2**32), odd, 0)
    below |= jnp.where(random[16] < np.uint32(against[1] % 2**32), ~odd, 0)
    for i in range(16):
        threshold = (odd if against[0] >> 32 + i & 1 else 0) | (~odd if against[1] >> 32 + i & 1 else np.uint32(0))
        below = (~random[i] & threshold) | (~(random[i] ^ threshold) & below)
    return (tie & random[15]) | (~tie & (majority ^ below))


def half_of_uniforms(draw, key, other, colour, beta):
    """Heat bath of one colour, a chain an element, a number a site."""
    up = sum(spins.astype(jnp.float32) for spins in around(other, colour))
    return (draw(key, other.shape) < jax.nn.sigmoid(4 * beta * (up - 2))).astype(jnp.uint32)


def ising_z(draw, half, n, lanes, beta, burn, sweeps, fold_in=jax.random.fold_in):
    """Standard errors between the energy of independent chains on an n × n torus and the exact one.

    One key is folded per half sweep. The error comes from the spread of the chains' own time averages.
    """
    key = jax.random.key(0, impl=HASH)
    n_bits = 32 if half is half_of_words else 1

    def sweep(i, state):
        white = half(draw, fold_in(key, 2 * i), state[1], 0, beta)
        return white, half(draw, fold_in(key, 2 * i + 1), white, 1, beta)

    def unequal(state):
        def one_bit(shift):
            pairs = [(state[0] ^ spins) >> shift & 1 for spins in around(state[1], 0)]
            return sum(pair.astype(jnp.int32).sum((0, 1)) for pair in pairs)

        return jax.lax.map(one_bit, jnp.arange(n_bits, dtype=jnp.uint32)).ravel()

    def measure(k, carry):
        state = jax.lax.fori_loop(0, 5, lambda j, state: sweep(burn + 5 * k + j, state), carry[0])
        return state, carry[1] + unequal(state)

    @jax.jit
    def run(state):
        state = jax.lax.fori_loop(0, burn, sweep, state)
        return jax.lax.fori_loop(0, sweeps // 5, measure, (state, jnp.zeros(lanes * n_bits, jnp.int32)))[1]

    start = np.random.default_rng(1).integers(0, 2**n_bits, (2, n, n // 2, lanes), dtype=np.uint32)
    energy = np.asarray(run(tuple(start)), np.float64) / (sweeps // 5) * 2 / n**2 - 2
    return (energy.mean() - exact_energy(beta, n)) / (energy.std(ddof=1) / np.sqrt(energy.size))


def test_the_energy_of_a_small_ising_model_is_exact():
    """64 × 64, 512 chains by words: an error of 2e-4 of the energy, -0.70, within 4 standard errors."""
    assert abs(ising_z(random_bits, half_of_words, 64, 16, 0.3, burn=60, sweeps=200)) < 4


@pytest.mark.slow
def test_the_energy_of_an_ising_model_by_uniforms_is_exact():
    """64 × 64, 128 chains, a number a site: an error of 5e-4 of the energy, within 4 standard errors."""
    assert abs(ising_z(uniform, half_of_uniforms, 64, 128, 0.3, burn=60, sweeps=200)) < 4


@pytest.mark.slow
@pytest.mark.parametrize(("beta", "burn", "sweeps"), [(0.25, 100, 300), (0.3, 100, 300), (0.4, 800, 600)])
def test_the_energy_of_a_large_ising_model_is_exact(beta, burn, sweeps):
    """256 × 256, 512 chains by words: errors of 4e-5, 4e-5 and 7e-5 of the energy, within 4 standard errors."""
    assert abs(ising_z(random_bits, half_of_words, 256, 16, beta, burn, sweeps)) < 4


def counted_lowbias(key, shape):
    """A plausible generator with two keys: lowbias32 (Wellons 2018) and each key once."""
    low, high = jax.random.key_data(key)
    x = jax.lax.iota(jnp.uint32, int(np.prod(shape))).reshape(shape) ^ low
    x = (x ^ x >> 16) * np.uint32(0x7FEB352D)
    x = ((x ^ x >> 15) ^ high) * np.uint32(0x846CA68B)
    return x ^ x >> 16


@pytest.mark.slow
def test_the_ising_model_finds_the_fault_of_keys_that_are_counted():
    """The same run at half its length, keys of half sweeps made by adding one, rejects at 4 standard errors."""
    start = jax.random.key_data(KEY)

    def count_up(key, step):
        return jax.random.wrap_key_data(start.at[0].add(jnp.uint32(step)), impl=HASH)

    assert abs(ising_z(counted_lowbias, half_of_words, 256, 16, 0.3, burn=100, sweeps=150, fold_in=count_up)) > 4
