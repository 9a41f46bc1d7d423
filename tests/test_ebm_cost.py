"""Bills of sampling: the published worked examples as identities, and what a bill refuses."""

import math

import pytest

from aimc.counts import Counts, tiles
from cost_bridge import Rate, load, sampling
from ebm.counts import (
    pbit_counts,
    pbit_step_counts,
    pcd_step_counts,
    pcd_step_operations,
    per_effective_sample,
    sweep_counts,
)

Z1_NODES = 269_568


def priced(counts, name="z1", **overrides):
    exact = {key: Rate(value, 1.0, "projection", "given, 2026") for key, value in overrides.items()}
    return sampling.on_pbits(name, counts.as_dict(), overrides=exact, draws=200)


def test_both_published_energies_of_a_denoising_machine_follow_from_its_counts():
    """K_mix = 250 sweeps of a lattice of L = 70, T steps: 2.45 T nJ at 2 fJ a cell and 1.6 T nJ at 1.306 fJ."""
    for steps in (1, 8):
        counts = pbit_counts(70 * 70, sweeps=250, chains=steps)
        assert counts.pbit_updates == steps * 250 * 4900
        for cell_fj, nanojoules in ((2.0, 2.45), (1.306, 1.6)):
            found = priced(counts, "dtm", **{"pbit.dtm.update_fj": cell_fj}).joules.median
            assert found == pytest.approx(nanojoules * steps * 1e-9, rel=5e-4)
    own = load()["pbit.dtm.update_fj"]
    assert own.value == 2.0
    assert own.value / own.factor == pytest.approx(1.306, rel=1e-3)  # the other figure is the lower end
    assert own.evidence == "projection"


def test_a_sweep_a_read_and_a_write_of_the_lattice_chip_cost_what_is_published():
    sweep = pbit_counts(Z1_NODES, sweeps=1)
    bill = priced(sweep)
    assert bill.items["pbit_updates"] == pytest.approx(1.91e-9, rel=1e-3)
    assert Z1_NODES / bill.seconds == pytest.approx(1.35e13, rel=2e-3)  # updates a second
    assert bill.items["pbit_updates"] / bill.seconds == pytest.approx(96e-3, rel=5e-3)
    assert bill.evidence == "simulation"
    whole = priced(pbit_counts(Z1_NODES, sweeps=1, reads=1, writes=1))
    assert whole.items["node_reads"] == pytest.approx(0.46e-6, rel=0.01)
    assert whole.items["node_writes"] == pytest.approx(41e-6, rel=0.01)
    assert whole.seconds - bill.seconds == pytest.approx(25e-6, rel=1e-12)  # one frame
    rates = load()
    update, read, write = (rates[f"pbit.z1.{name}"].value for name in ("update_fj", "node_read_pj", "node_write_pj"))
    assert round(1e3 * read / update) == 239
    assert round(1e3 * write / update) == 21_664


def test_the_worked_example_of_an_rbm_term_by_term():
    """784-500, k = 10, 128 chains."""
    counts = pbit_step_counts(784, 500, chains=128, gibbs_steps=10)
    assert counts.pbit_updates == 1_643_520
    bill = priced(counts)
    assert bill.items["pbit_updates"] == pytest.approx(11.7e-9, rel=5e-3)
    assert bill.items["node_reads"] == pytest.approx(0.28e-6, rel=0.01)
    assert bill.items["node_writes"] == pytest.approx(0.20e-6, rel=0.015)
    assert bill.items["node_reads"] / bill.items["pbit_updates"] == pytest.approx(24, rel=0.01)
    assert bill.joules.median == pytest.approx(sum(bill.items.values()), rel=0.15)  # the items are at the medians
    sweeps = sweep_counts(784, 500, rows=1024, cols=1024, chains=1280)
    assert sweeps.analog_macs == pytest.approx(1.0e9, rel=0.005)
    assert sweeps.adc_samples == 1_643_520  # one conversion a unit and sweep: 1.64 y µJ at y pJ
    compared = sweep_counts(784, 500, rows=1024, cols=1024, chains=1280, neuron="comparator")
    assert (compared.adc_samples, compared.random_bits, compared.digital_ops) == (0, 0, 0)
    assert compared.comparator_decisions == 1_643_520
    assert compared.analog_macs == sweeps.analog_macs


@pytest.mark.parametrize("chip", ["reram", "capacitor"])
def test_comparators_take_the_converters_out_of_the_bill(chip):
    """On one array that holds all 784 units, as comparators need."""
    n_tiles = tiles(784, 500, rows=1024, cols=512)
    bills = [
        sampling.on_crossbar(
            chip, sweep_counts(784, 500, rows=1024, cols=512, neuron=neuron).as_dict(), tiles=n_tiles, draws=200
        )
        for neuron in ("adc", "comparator")
    ]
    assert bills[0].items["adc_samples"] > 0
    assert not {"adc_samples", "random_bits", "digital_ops"} & set(bills[1].items)
    assert bills[1].items["analog_macs"] == bills[0].items["analog_macs"]
    assert bills[1].joules.median < bills[0].joules.median


def test_an_effective_sample_costs_its_autocorrelation_time_and_its_share_of_the_burn_in():
    sweep = pbit_counts(100, sweeps=1)
    assert per_effective_sample(sweep, tau=1.0, n_sweeps=50) == sweep
    found = per_effective_sample(sweep, tau=7.3, n_sweeps=1000, burn_in=500)
    assert found.pbit_updates == math.ceil(7.3 * 1.5 * 100 - 1e-9)
    assert found.array_cycles == 11
    with pytest.raises(
        ValueError, match=r"n_sweeps=364 is shorter than 50 autocorrelation times of tau=7.3.*at least 365"
    ):
        per_effective_sample(sweep, tau=7.3, n_sweeps=364)
    for tau in (0.0, math.nan, math.inf):
        with pytest.raises(ValueError, match="tau must be a positive number"):
            per_effective_sample(sweep, tau=tau, n_sweeps=10**9)
    with pytest.raises(ValueError, match="burn_in must be at least 0"):
        per_effective_sample(sweep, tau=1.0, n_sweeps=100, burn_in=-1)


def test_an_effective_sample_of_p_bits_is_read_out_once_and_the_read_out_is_most_of_its_price():
    """80 nodes, τ = 5: 400 updates at 7.1 fJ are 2.8 pJ and one read of 80 nodes is 136 pJ, not five of them."""
    parts = {"tau": 5.0, "n_sweeps": 1000, "readout": Counts(node_reads=80)}
    found = per_effective_sample(pbit_counts(80, sweeps=1), **parts)
    assert (found.pbit_updates, found.node_reads) == (400, 80)
    bill = priced(found)
    assert bill.items["pbit_updates"] == pytest.approx(2.8e-12, rel=0.02)
    assert bill.items["node_reads"] == pytest.approx(135e-12, rel=0.02)
    burnt = per_effective_sample(pbit_counts(80, sweeps=1), burn_in=500, **parts)
    assert (burnt.pbit_updates, burnt.node_reads) == (600, 80)
    with pytest.raises(ValueError, match=r"sweep must hold no node_reads.*got 80; pass them as readout"):
        per_effective_sample(pbit_counts(80, sweeps=1, reads=1), tau=5.0, n_sweeps=1000)


def test_a_nat_costs_all_steps_over_the_nats_they_gained():
    step = sampling.on_pbits("z1", pbit_step_counts(64, 16, chains=128, gibbs_steps=10).as_dict(), draws=200)
    nat = sampling.per_nat(step, 12_000, 8.0)
    assert nat.joules.median == pytest.approx(1500 * step.joules.median, rel=1e-12)
    assert nat.seconds == pytest.approx(1500 * step.seconds, rel=1e-12)
    assert nat.items["node_writes"] == pytest.approx(1500 * step.items["node_writes"], rel=1e-12)
    for gained in (0.0, -1.0, math.nan):
        with pytest.raises(ValueError, match="gained must be a positive number of nats"):
            sampling.per_nat(step, 12_000, gained)


def test_the_digital_machine_beside_a_bill_is_the_cheapest_one():
    shape = {"batch": 128, "chains": 128, "gibbs_steps": 10}
    gpu = sampling.on_gpu(pcd_step_operations(784, 500, **shape), draws=200)
    cpu = sampling.on_cpu(0.025, draws=200)
    pbits = sampling.on_pbits("z1", pbit_step_counts(784, 500, chains=128, gibbs_steps=10).as_dict(), draws=200)
    array = sampling.on_crossbar("reram", pcd_step_counts(784, 500, **shape).as_dict(), tiles=8, draws=200)
    best = sampling.cheapest_digital([pbits, cpu, gpu, array])
    assert best == gpu
    assert cpu.joules.median == pytest.approx(0.025 * 9.0, rel=0.1)
    assert cpu.evidence == "assumption"
    assert sampling.ratio(pbits, best) == pytest.approx(gpu.joules.median / pbits.joules.median)
    assert array.items["coprocessor_standing"] > 0  # the gradient is digital
    with pytest.raises(ValueError, match="no digital machine among the bills"):
        sampling.cheapest_digital([pbits])
    shared = sampling.on_gpu(pcd_step_operations(784, 500, **shape), share=4, draws=200)
    assert shared.joules.median == pytest.approx(gpu.joules.median / 4, rel=1e-9)


@pytest.mark.parametrize(
    ("price", "said"),
    [
        (lambda: sampling.on_pbits("z2", {}), "must be one of z1, dtm, got 'z2'"),
        (lambda: sampling.on_pbits("dtm", {"node_reads": 1}), "no price for node_reads; priced events are"),
        (lambda: sampling.on_crossbar("pcm", {}, tiles=1), "a crossbar must be one of reram, capacitor, got 'pcm'"),
        (lambda: sampling.on_gpu([], gpu="a1"), "there is no table 'gpu.a1'"),
        (lambda: sampling.on_cpu(0.0), "seconds must be above 0"),
        (lambda: sampling.times(sampling.on_cpu(1.0, draws=100), 0.0), "a positive number of times"),
        (lambda: sampling.on_cpu(1.0, overrides={"cpu.x": Rate(1.0, 1.0, "silicon", "s")}), "there is no rate cpu.x"),
    ],
)
def test_a_bill_that_cannot_be_is_refused_by_name(price, said):
    with pytest.raises(ValueError, match=said):
        price()
