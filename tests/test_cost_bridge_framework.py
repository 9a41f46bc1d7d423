"""The seed paper's framework: closed limits, monotonicity, published tables, and a machine that really fails."""

import math
from itertools import pairwise

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.optimize
import scipy.special
import scipy.stats

from cost_bridge import load
from cost_bridge.digital import (
    accounting,
    energy,
    epoch,
    formats,
    levers,
    memory,
    projection,
    published,
    resilience,
    scaling,
    simulate,
    trends,
)
from cost_bridge.digital import gpu as roofline
from cost_bridge.rates import tables
from cost_bridge.uncertainty import medians

T = tables(medians(load()))
MACHINE = resilience.cluster(T)


# ---------------------------------------------------------------- scaling and trends


def test_compute_is_120_p_squared_and_an_expert_model_costs_a_kth() -> None:
    assert scaling.chinchilla_flops(1e12) == pytest.approx(1.2e26)
    assert scaling.chinchilla_parameters(scaling.chinchilla_flops(3e11)) == pytest.approx(3e11)
    for k in (1, 4, 8, 16):
        assert scaling.experts_flops(1e12, k) == pytest.approx(1.2e26 / k)
    assert scaling.power_law_flops(2e9, flops_per_parameter=120, exponent=2.0) == pytest.approx(
        scaling.chinchilla_flops(2e9)
    )


def test_hours_days_and_rates_are_inverse_to_each_other() -> None:
    hours = scaling.device_hours(6e23, 1e14)
    assert scaling.sustained_flops(6e23, hours) == pytest.approx(1e14)
    assert scaling.run_days(6e23, 100, 1e14) == pytest.approx(hours / 100 / 24)


def test_a_doubling_time_and_its_growth_are_inverse_and_nothing_that_shrinks_doubles() -> None:
    for years in (0.33, 1.0, 2.46):
        assert trends.doubling_years(trends.growth_of_doubling(years)) == pytest.approx(years)
    assert trends.growth_between(3.0, 12.0, 2.0) == pytest.approx(2.0)
    with pytest.raises(ValueError, match="growth must be above 1 per year to double"):
        trends.doubling_years(0.9)


def test_bisection_finds_where_two_exponentials_meet_in_closed_form() -> None:
    one, other = trends.Series(1e6, 2021.0, 5.0), trends.Series(4e12, 2023.0, 1.08)
    closed = trends.meeting_year(one, other)
    assert one.at(closed) == pytest.approx(other.at(closed), rel=1e-9)
    assert trends.first_crossing(one.at, other.at, start=2021.0, stop=2045.0) == pytest.approx(closed, abs=1e-9)
    assert trends.first_crossing(other.at, one.at, start=2021.0, stop=2045.0) == 2021.0
    assert trends.first_crossing(one.at, other.at, start=2021.0, stop=2022.0) == math.inf
    assert trends.meeting_year(one, one) == math.inf


def test_a_growth_fit_is_scipys_regression_with_its_student_interval() -> None:
    rng = np.random.default_rng(0)
    years = rng.uniform(2016, 2024, 40)
    values = np.exp(0.8 * (years - 2016) + rng.normal(0, 1, 40))
    fit = trends.fit_growth(list(years), list(values))
    reference = scipy.stats.linregress(years, np.log(values))
    half = scipy.stats.t.ppf(0.975, 38) * reference.stderr
    assert fit.growth == pytest.approx(math.exp(reference.slope), rel=1e-9)
    assert (fit.low, fit.high) == pytest.approx(
        (math.exp(reference.slope - half), math.exp(reference.slope + half)), rel=1e-6
    )
    assert fit.at(2020.0) == pytest.approx(math.exp(reference.intercept + reference.slope * 2020.0), rel=1e-6)
    with pytest.raises(ValueError, match="at least 3 points above 0"):
        trends.fit_growth([1.0, 2.0], [1.0, 2.0])


@pytest.mark.parametrize("degrees", [1, 2, 8, 44, 200])
def test_student_quantiles_are_scipys(degrees: int) -> None:
    for p in (0.6, 0.95, 0.975):
        assert trends.student_quantile(p, degrees) == pytest.approx(scipy.stats.t.ppf(p, degrees), abs=1e-6)


def test_epochs_data_are_the_46_models_of_2016_to_2023_and_show_2_2_a_year() -> None:
    runs = epoch.runs()
    assert len(runs) == 46
    assert [run.year for run in runs] == sorted(run.year for run in runs)
    assert 2016 < runs[0].year < runs[-1].year < 2024
    fit = epoch.growth()
    assert fit.low < 2.4 < fit.high
    assert fit.growth == pytest.approx(2.23, abs=0.01)


# ---------------------------------------------------------------- the projection


def test_the_three_printed_dollar_figures_unfitted_and_calibrated() -> None:
    """Faraboschi 2024, Sect. 2.1: 4.8 M (2021), 32 M (2023), 93 B (2028) at cloud prices."""
    plain, fitted = projection.trend(T), projection.trend(T, calibrated=True)
    errors = []
    for year, said in ((2021.0, 4.8e6), (2023.0, 32e6), (2028.0, 93e9)):
        errors.append(plain.cloud_usd(year) / said - 1)
        assert fitted.cloud_usd(year) == pytest.approx(said, rel=0.02)
    assert errors == pytest.approx([0.182, 0.186, -0.083], abs=1e-3)
    assert fitted.gpu_usd(2028.0) == pytest.approx(19e9, rel=0.03)


def test_the_projection_is_the_formula_written_out() -> None:
    plain = projection.trend(T)
    p = 1.8e12 * 2.8**5
    by_hand = 40 * p**2 / (1 + 4 * 7) / (150e12 * 3600) * 2.5 * 2 ** (-7 / 2.46)
    assert plain.cloud_usd(2028.0) == pytest.approx(by_hand, rel=1e-12)
    assert plain.parameters(2021.0) == pytest.approx(175e9)
    assert plain.parameters(2023.0) == pytest.approx(1.8e12)


def test_more_experts_cost_less_and_more_operations_a_parameter_cost_more() -> None:
    guess, best, worst = (projection.trend(T, name) for name in ("best_guess", "best_case", "worst_case"))
    for year in (2023.0, 2028.0, 2035.0):
        assert best.gpu_usd(year) < guess.gpu_usd(year) < worst.gpu_usd(year)
    for only in (True, False):
        case = projection.Anchored(guess, guess, 2023.0, only)
        assert case.gpu_usd(2030.0) == pytest.approx(guess.gpu_usd(2030.0))
    with pytest.raises(ValueError, match="scenario must be one of best_case, best_guess, worst_case"):
        projection.trend(T, "median")


def test_the_projection_crosses_it_spending_before_2032_with_every_vintage() -> None:
    plain = projection.trend(T)
    for vintage in ("it_spend_assumed", "it_spend_gartner_2023", "it_spend_gartner_2024", "it_spend_gartner_2025"):
        assert 2031.5 < projection.crossing(plain.gpu_usd, projection.series(T, vintage)) < 2032.0


# ---------------------------------------------------------------- resilience


def test_daly_at_its_best_interval_is_the_lambert_w_solution() -> None:
    """The optimum of M e^(R/M) (e^((t+d)/M) - 1)/t is t = M (1 + W0(-e^(-1 - d/M)))."""
    mtbf = 7.0
    for checkpoint in (1e-6, 1e-3, 0.1, 1.0, 5.0, 30.0):
        lambert = mtbf * (1 + scipy.special.lambertw(-math.exp(-1 - checkpoint / mtbf)).real)
        interval = resilience.best_interval(checkpoint, mtbf)
        assert interval == pytest.approx(lambert, rel=1e-5)
        direct = scipy.optimize.minimize_scalar(
            lambda t, d=checkpoint: resilience.daly(t, d, 2.0, mtbf), bounds=(1e-5, 60), method="bounded",
            options={"xatol": 1e-9},
        )  # fmt: skip
        assert resilience.least_factor(checkpoint, 2.0, mtbf) == pytest.approx(direct.fun, rel=1e-6)


@pytest.mark.parametrize(("mtbf_minutes", "printed"), [(24 * 60, 117), (6 * 60, 57), (15, 9.1)])
def test_best_intervals_are_those_that_daly_prints(mtbf_minutes: float, printed: float) -> None:
    """Daly 2006, Figs. 3 to 5: checkpoints of 5 minutes. The printed ones are his series, within 1 % of the optimum."""
    assert resilience.best_interval(5.0, mtbf_minutes) == pytest.approx(printed, rel=0.011)


def test_without_failures_nothing_is_lost() -> None:
    perfect = MACHINE._replace(gpu_mtbf_hours=1e30, cpu_mtbf_hours=1e30)
    assert resilience.slowdown(perfect).factor == pytest.approx(1.0, abs=1e-6)
    assert resilience.slowdown(perfect._replace(tolerated_groups=5)).factor == pytest.approx(1.0, abs=1e-6)


def test_with_infinite_bandwidth_only_the_restarts_are_left() -> None:
    free = MACHINE._replace(storage_gb_per_s=1e30)
    mtbf = resilience.failure_hours(free)
    assert resilience.slowdown(free).factor == pytest.approx(math.exp(2.0 / mtbf), rel=1e-5)


def test_one_gpu_hardly_fails_and_its_checkpoint_takes_the_memory_over_the_bandwidth() -> None:
    one = MACHINE._replace(gpus=1.0)
    assert resilience.checkpoint_hours(one) == pytest.approx(80 / 500 / 3600)
    assert resilience.failure_hours(one) == pytest.approx(1 / (1 / 950e3 + 0.25 / 1500e3))
    assert resilience.slowdown(one).factor == pytest.approx(1.0, abs=1e-4)


def test_youngs_rule_is_the_limit_of_short_checkpoints() -> None:
    """Young 1974: t = sqrt(2 d M) for d much smaller than M."""
    assert resilience.best_interval(1e-6, 10.0) == pytest.approx(math.sqrt(2 * 1e-6 * 10.0), rel=1e-3)


@pytest.mark.parametrize(
    ("field", "worse"),
    [("gpus", 1.2), ("gpu_mtbf_hours", 0.8), ("state_gb_per_gpu", 1.2), ("storage_gb_per_s", 0.8),
     ("restart_hours", 1.2), ("cpu_mtbf_hours", 0.5)],
)  # fmt: skip
def test_a_worse_machine_takes_longer(field: str, worse: float) -> None:
    for optimised in ("nothing", "checkpoints", "everything"):
        before = resilience.cluster(T, optimised=optimised)
        after = before._replace(**{field: getattr(before, field) * worse})
        assert resilience.slowdown(after).factor > resilience.slowdown(before).factor


def test_every_spare_group_makes_interruptions_rarer() -> None:
    hours = [resilience.slowdown(MACHINE._replace(tolerated_groups=k)).interruption_hours for k in range(7)]
    assert all(after > 3 * before for before, after in pairwise(hours))
    assert hours[0] == pytest.approx(resilience.failure_hours(MACHINE))


def test_figure_7_has_its_factor_2_at_50k_gpus_and_its_best_size_at_64k() -> None:
    best = resilience.cluster(T, optimised="everything")
    plain = resilience.slowdown(MACHINE)
    assert plain.interruption_hours == pytest.approx(16.4, abs=0.01)
    assert plain.checkpoint_hours == pytest.approx(2.222, abs=1e-3)
    assert plain.factor / resilience.slowdown(best).factor == pytest.approx(2.0, abs=0.05)
    assert resilience.best_size(MACHINE) == pytest.approx(64e3, abs=1e3)
    assert resilience.best_size(resilience.cluster(T, optimised="checkpoints")) == pytest.approx(145.5e3, abs=1e3)
    assert resilience.best_size(best) > 199e3


def test_the_same_equations_give_llama_3s_effective_time_from_its_observed_failures() -> None:
    """Llama team 2024: more than 90 %; 419 unplanned interruptions in 54 days on 16,384 GPUs."""
    seen = resilience.observed_cluster(T["models.llama3_405b"])
    assert seen.gpu_mtbf_hours == pytest.approx(50.7e3, rel=1e-3)
    assert 0.90 < resilience.effective_fraction(seen) < 0.95
    light, heavy = (seen._replace(state_gb_per_gpu=gb, restart_hours=h) for gb, h in ((1.0, 0.05), (4.0, 0.1)))
    assert 0.945 < resilience.effective_fraction(light) < 0.95
    assert 0.89 < resilience.effective_fraction(heavy) < 0.90


def test_impossible_groups_are_refused() -> None:
    with pytest.raises(ValueError, match="tolerated_groups must be a whole number from 0 to one less"):
        resilience.slowdown(MACHINE._replace(tolerated_groups=100))
    with pytest.raises(ValueError, match="whole number"):
        resilience.slowdown(MACHINE._replace(tolerated_groups=2.5))
    with pytest.raises(ValueError, match="optimised must be"):
        resilience.cluster(T, optimised="all")


@pytest.mark.parametrize("gpus", [2e3, 1e4, 3e4, 5e4, 8e4, 1.2e5])
def test_a_machine_that_fails_event_by_event_takes_as_long_as_the_formula_says(gpus: float) -> None:
    """z-bound 3 on the mean of 600 runs of fifty intervals, at the best interval and off it."""
    machine = MACHINE._replace(gpus=gpus)
    best = resilience.slowdown(machine)
    for stretch in (1.0, 2.0):
        interval = stretch * best.interval_hours
        exact = resilience.daly(interval, best.checkpoint_hours, 2.0, best.interruption_hours)
        seen = simulate.slowdown(machine, interval_hours=interval, work_hours=50 * interval, runs=600, seed=1)
        assert abs(seen.mean - exact) < 3 * seen.standard_error, (seen, exact)
        assert seen.standard_error < 0.02 * exact


@pytest.mark.parametrize(("mtbf", "spare", "gpus"), [(60e3, 5, 5e4), (50e3, 5, 5e4), (200e3, 2, 5e4), (150e3, 1, 2e4)])
def test_a_machine_with_spare_groups_agrees_too_where_interruptions_are_rare(
    mtbf: float, spare: int, gpus: float
) -> None:
    """The formula takes interruptions as memoryless, true when they are many repairs apart (here 20 or more)."""
    machine = MACHINE._replace(gpu_mtbf_hours=mtbf, tolerated_groups=spare, gpus=gpus, state_gb_per_gpu=4.0)
    expected = resilience.slowdown(machine)
    assert expected.interruption_hours > 20 * machine.restart_hours
    alone = simulate.interruption_hours(machine, runs=300, seed=1)
    assert abs(alone.mean - expected.interruption_hours) < 3 * alone.standard_error
    seen = simulate.slowdown(machine, interval_hours=expected.interval_hours, work_hours=1000, runs=40, seed=1)
    assert abs(seen.mean - expected.factor) < 3 * seen.standard_error, (seen, expected)


def test_a_simulation_is_the_same_for_the_same_seed_and_refuses_one_run() -> None:
    one, same, other = (
        simulate.slowdown(MACHINE, interval_hours=7.0, work_hours=100.0, runs=5, seed=seed) for seed in (3, 3, 4)
    )
    assert one == same != other
    with pytest.raises(ValueError, match="runs >= 2"):
        simulate.slowdown(MACHINE, interval_hours=7.0, work_hours=100.0, runs=1)


def test_arrays_pass_through_the_framework_unchanged_in_kind() -> None:
    sizes = [1e4, 5e4, 1e5]
    expected = [resilience.slowdown(MACHINE._replace(gpus=n)).factor for n in sizes]
    for kind, make in ((np.ndarray, np.array), (jax.Array, jnp.array)):
        found = resilience.slowdown(MACHINE._replace(gpus=make(sizes), tolerated_groups=0)).factor
        assert isinstance(found, kind)
        np.testing.assert_allclose(np.asarray(found), expected, rtol=1e-4)
        spare = resilience.slowdown(MACHINE._replace(gpus=make(sizes), tolerated_groups=2)).factor
        assert isinstance(spare, kind)
        year = projection.trend(T).gpu_usd(make([2024.0, 2028.0]))
        assert isinstance(year, kind)
        assert isinstance(scaling.experts_flops(make([1e9]), 4.0), kind)
        assert isinstance(memory.roofline_s(make([1e12]), 1e9, memory.Device(1e14, 1e12, 80.0)), kind)
    slope = jax.grad(lambda n: resilience.slowdown(MACHINE._replace(gpus=n)).factor)(5e4)
    step = 50.0
    ends = [resilience.slowdown(MACHINE._replace(gpus=5e4 + sign * step)).factor for sign in (-1, 1)]
    assert float(slope) == pytest.approx((ends[1] - ends[0]) / (2 * step), rel=1e-3)


# ---------------------------------------------------------------- levers, memory, formats, money, energy


def test_levers_multiply_each_part_of_the_cost_and_leave_staff_alone() -> None:
    shares = levers.report_shares(T)
    assert sum(shares) == pytest.approx(1.0)
    one = levers.compose(["data formats"], T)
    ratio = T["levers.evolutionary"]["data_formats_ratio"]
    assert one.left == pytest.approx(shares.staff + ratio * (1 - shares.staff))
    both = levers.compose(["data formats", "data reduction"], T)
    assert both.parts["gpus"] == pytest.approx(ratio * T["levers.evolutionary"]["data_reduction_ratio"])
    assert both.parts["staff"] == 1.0
    assert levers.compose([], T).left == pytest.approx(1.0)


def test_two_names_of_one_effect_count_once_and_order_does_not_matter() -> None:
    names = ["mixed precision training", "data formats", "competitive accelerators",
             "spot instances and flexible workloads"]  # fmt: skip
    found = levers.compose(names, T)
    assert found.left == pytest.approx(levers.compose(reversed(names), T).left)
    assert found.left == pytest.approx(levers.compose(names[1:2] + names[3:], T).left)
    assert set(found.left_out) == {"data formats", "competitive accelerators"}
    with pytest.raises(ValueError, match="unknown levers magic; known levers are distributed systems"):
        levers.compose(["magic"], T)


def test_a_lever_that_costs_always_counts_and_one_without_a_number_counts_nothing() -> None:
    assert levers.compose(["gradient checkpointing"], T).left > 1.0
    assert levers.compose(["federated learning approaches"], T).left == pytest.approx(1.0)


def test_photonic_memory_saves_only_what_a_step_waits_for_memory() -> None:
    """No gain of bandwidth, no saving; endless bandwidth, only what is bound by arithmetic is left."""
    assert roofline.devices_needed(16 * 175 * 10**9, T["gpu.h100"]) == levers.GPT3_DEVICES
    for gain, least in ((1.0, 1.0), (4.0, 0.9), (1e9, 0.9)):
        other = {**T, "levers.others": {**T["levers.others"], "photonic_bandwidth_ratio": gain}}
        assert least <= levers.photonic_ratio(other) <= 1.0


def test_table_2_has_its_seven_areas_and_the_essay_its_18_strategies_and_3_directions() -> None:
    assert len(levers.TABLE_2) == 7
    origins = [lever.origin for lever in levers.LEVERS.values()]
    assert origins.count("essay") == 18
    assert origins.count("essay, future") == 3
    for lever in levers.LEVERS.values():
        for rate in lever.rates:
            assert rate in load(), (lever.name, rate)


def test_levers_compose_for_arrays_as_for_floats() -> None:
    names = ["data formats", "mixed precision training", "efficient hardware", "technology node"]
    spread = {name: dict(table) for name, table in T.items()}
    spread["levers.evolutionary"]["efficient_hardware_power_ratio"] = np.array([0.5, 0.9])
    spread["levers.others"]["technology_node_ratio"] = np.array([0.7, 0.7])
    found = levers.compose(names, spread)
    assert found.parts["power"] == pytest.approx(T["levers.evolutionary"]["data_formats_ratio"] * np.array([0.5, 0.7]))


def test_margins_move_the_price_of_gpus_by_46_to_36_per_cent_and_the_cost_by_less() -> None:
    for target, saved in ((0.35, 0.4615), (0.45, 0.3636)):
        assert 1 - accounting.price_at_margin(1.0, 0.65, target) == pytest.approx(saved, abs=1e-4)
    assert accounting.margin_of_markup(5.0) == pytest.approx(0.8)
    assert accounting.service_price(accounting.service_price(1.0, seller_margin=0.0), seller_margin=0.5) == 2.0


def test_the_reports_accounts_are_80_18_2_and_70_30() -> None:
    shares = levers.report_shares(T)
    assert (shares.hardware, shares.staff, shares.power) == pytest.approx((0.80, 0.18, 0.02), abs=0.005)
    assert accounting.gpu_share(195e3, 269010, markup_usd=42e3, interconnect=0.2) == pytest.approx(
        1 - (1 - 195000 / ((269010 - 42000) * 5 / 4))
    )
    assert accounting.amortised_usd(100.0, 8760.0, life_years=4, utilisation=0.5) == pytest.approx(50.0)
    assert accounting.rent_usd(10, 1, 2.0) == 480.0


def test_bits_of_shared_scale_formats_are_those_of_their_specifications() -> None:
    """Rouhani 2023, Table 2: MX4, MX6, MX9 take 4, 6 and 9 bits. OCP MX 1.0: one 8-bit scale for 32 elements."""
    expected = {"MX4": 4.0, "MX6": 6.0, "MX9": 9.0, "MXFP4": 4.25, "MXFP6": 6.25, "MXFP8": 8.25, "BF16": 16.0}
    assert {name: formats.bits(formats.FORMATS[name]) for name in expected} == expected
    assert formats.memory_saved(formats.FORMATS["MXFP8"]) == pytest.approx(1 - 8.25 / 16)
    assert formats.state_saved(formats.FORMATS["BF16"]) == 0.0
    assert formats.state_saved(formats.FORMATS["MX6"]) == pytest.approx(2 * (2 - 0.75) / 16)


def test_the_memory_wall_falls_between_gpt_2_and_megatron() -> None:
    assert memory.state_gb(1.5e9) == pytest.approx(24.0)
    years, sizes = [2018.0, 2019.0, 2020.0], [1e8, 1e9, 1e10]
    assert memory.wall_year(years, sizes, 16.0, 16.0) == pytest.approx(2019.0)
    assert memory.wall_year(years, sizes, 16.0 * math.sqrt(10), 16.0) == pytest.approx(2019.5)
    assert memory.wall_year(years, sizes, 1e6, 16.0) == math.inf
    assert memory.wall_year(years, sizes, 1.0, 16.0) == 2018.0


def test_separating_bandwidth_from_capacity_moves_a_memory_bound_kernel_and_no_other() -> None:
    device = memory.Device(1e15, 3e12, 80.0)
    faster = memory.decoupled(device, bandwidth_gain=4.0, capacity_gain=10.0)
    low, high = memory.balance(device) / 10, memory.balance(device) * 10
    assert memory.roofline_s(low * 1e9, 1e9, faster) == pytest.approx(memory.roofline_s(low * 1e9, 1e9, device) / 4)
    assert memory.roofline_s(high * 1e9, 1e9, faster) == memory.roofline_s(high * 1e9, 1e9, device)
    assert memory.devices_to_hold(8000.0, faster) == pytest.approx(memory.devices_to_hold(8000.0, device) / 10)


def test_energy_and_heat_are_power_times_time_over_area() -> None:
    assert energy.run_mwh(3.6e15, 1e12, 1000.0) == pytest.approx(3.6e15 / 1e12 / 3600 * 1e3 / 1e6)
    assert energy.hours_mwh(1000.0, 400.0, pue=1.1) == pytest.approx(0.44)
    assert energy.site_w(25_000, 900.0) == pytest.approx(22.5e6)
    assert energy.heat_flux_w_per_m2(22.5e6, 22_500.0) == 1000.0
    assert energy.fleet_twh_per_year(30e3, 30e3, 1000.0) == pytest.approx(8760e3 / 1e12)


# ---------------------------------------------------------------- published runs


def test_hours_and_energy_of_two_llamas_are_predicted_within_a_tenth() -> None:
    """Only predictions: nothing here uses the hours it is compared with."""
    predicted = {check.id: check for check in published.checks(T) if not check.is_identity}
    assert set(predicted) == {"T5", "T5e", "T11", "T11e"}
    for check in predicted.values():
        assert abs(check.error) < 0.10, check
    moved = {name: dict(table) for name, table in T.items()}
    for name in ("llama3_405b", "llama2_70b"):
        moved[f"models.{name}"]["device_hours"] = 1.0
    assert published.llama3_hours(moved) == published.llama3_hours(T)
    assert published.llama2_hours(moved) == published.llama2_hours(T)


def test_published_arithmetic_is_repeated_and_labelled_as_identity() -> None:
    identities = [check for check in published.checks(T) if check.is_identity]
    assert len(identities) == 6
    for check in identities:
        assert abs(check.error) < 0.011, check
