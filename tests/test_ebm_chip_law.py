"""The law of a chip: p(v | read) against counted draws of the chip itself, and what is a Boltzmann machine."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from ebm_oracle import visible_states

import aimc
from ebm import analog, chip_law, gibbs, hardware, potts, rbm

QUIET = aimc.crossbar(dac_bits=None, adc_bits=None)


def normals(*shape, seed):
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape), jnp.float32)


BITS = rbm.Rbm(normals(3, 2, seed=1), normals(3, seed=2), normals(2, seed=3))
SYMBOLS = potts.PottsRbm(normals(2, 3, 2, seed=4), normals(2, 3, seed=5), normals(2, seed=6))
CHIPS = {
    "comparator with offsets": (BITS, analog.Neuron(kind="comparator", noise=0.9, offset_std=1.0)),
    "three random bits": (BITS, analog.Neuron(random_bits=3, gain=1.5)),
    "symbols": (SYMBOLS, analog.Neuron()),
}


@pytest.mark.parametrize("name", CHIPS)
def test_probabilities_given_a_read_are_the_frequencies_of_the_chips_own_draws(name):
    """50,000 draws given one hidden state: |z| < 4.5 of every visible state; and all states together have 1."""
    params, neuron = CHIPS[name]
    chip = analog.program(jax.random.key(0), params, QUIET, neuron)
    states = np.asarray(visible_states(params), np.float32)
    hidden, n = jnp.ones((1, 2)), 50_000
    read = chip.visible_sum(jax.random.key(1), hidden)
    p = np.exp(np.asarray(chip_law._read_terms(read, chip, jnp.asarray(states)), np.float64))[:, 0]
    assert p.sum() == pytest.approx(1, abs=1e-5)
    drawn = np.asarray(chip.draw_visible(jax.random.key(2), jnp.broadcast_to(hidden, (n, 2))))
    counted = np.array([(drawn == state).all(axis=1).sum() for state in states])
    assert counted.sum() == n
    possible = p > 1e-12
    assert (counted[~possible] == 0).all()
    z = (counted - n * p)[possible] / np.sqrt(n * p * (1 - p) + 1e-9)[possible]
    assert np.abs(z).max() < 4.5, z


def test_what_cannot_happen_has_no_likelihood_and_few_chains_are_refused():
    """With one random bit a probability of 0.2 is rounded to 0, so that a row with this unit on is impossible."""
    params = rbm.Rbm(jnp.zeros((2, 1)), jnp.array([-1.4, 0.0]), jnp.zeros(1))
    chip = analog.program(jax.random.key(0), params, QUIET, analog.Neuron(random_bits=1))
    chains = gibbs.init(jax.random.key(1), chip, 16)
    possible, impossible = (
        np.array([[0.0, 1.0], [0.0, 0.0]], np.float32),
        np.array([[0.0, 1.0], [1.0, 1.0]], np.float32),
    )
    found = chip_law.log_likelihood(jax.random.key(2), chip, possible, chains, 4)
    assert found.lower == pytest.approx(np.log(0.5), abs=1e-6)
    assert found.is_settled
    found = chip_law.log_likelihood(jax.random.key(2), chip, impossible, chains, 4)
    assert found.lower == -np.inf
    assert not found.is_settled
    with pytest.raises(ValueError, match="chains must be at least 8 and n_sweeps 1, got 4 and 4"):
        chip_law.log_likelihood(jax.random.key(2), chip, possible, gibbs.init(jax.random.key(1), chip, 4), 4)
    with pytest.raises(ValueError, match="x must be bits"):
        chip_law.log_likelihood(jax.random.key(2), chip, 2 * possible, chains, 4)


@pytest.mark.parametrize(
    ("spec", "neuron", "is_still"),
    [
        (QUIET, analog.Neuron(), True),
        (aimc.crossbar(dac_bits=None, adc_bits=None, read_noise=0.01), analog.Neuron(), False),
        (aimc.crossbar(dac_bits=None, adc_bits=8), analog.Neuron(), False),
        (QUIET, analog.Neuron(kind="comparator"), False),
        (QUIET, analog.Neuron(gain=1.1), False),
        (QUIET, analog.Neuron(offset_std=0.1), False),
        (QUIET, analog.Neuron(random_bits=8), False),
    ],
)
def test_a_chip_is_a_boltzmann_machine_only_where_its_errors_stand_still(spec, neuron, is_still):
    chip = analog.program(jax.random.key(0), BITS, spec, neuron)
    chains = gibbs.Chains(hidden=jnp.array([[1.0, 0.0], [1.0, 1.0]]), visible=jnp.array([[1.0, 0, 1], [0, 1, 1]]))
    assert chip_law.is_still(jax.random.key(1), chip, chains) is is_still


def test_a_chip_whose_biases_are_cells_is_the_machine_of_what_they_hold():
    """Still, by its reads; and the parameters written differ from those asked for in weights and biases."""
    spec = aimc.crossbar(dac_bits=None, adc_bits=None, write_noise=0.1)
    chip = analog.program(jax.random.key(0), BITS, spec, biases="cells")
    chains = gibbs.Chains(hidden=jnp.array([[1.0, 0.0], [1.0, 1.0]]), visible=jnp.array([[1.0, 0, 1], [0, 1, 1]]))
    assert chip_law.is_still(jax.random.key(1), chip, chains)
    for found, asked in zip(hardware.written_params(chip), BITS, strict=True):
        assert float(jnp.abs(found - asked).max()) > 0.01
