"""GPU and analog chips against closed forms and published numbers that their code does not contain."""

import math

import jax
import jax.numpy as jnp
import pytest

from cost_bridge import CHIPS, EVENTS, AnalogWork, Measured, Op, Price, Rate, Workload, load, price
from cost_bridge.analog import chip as chip_model
from cost_bridge.digital import flops, gpu
from cost_bridge.machines import machines, own_rates
from cost_bridge.rates import table, tables
from cost_bridge.uncertainty import medians

BASE = tables(medians(load()))
H100, A100 = BASE["gpu.h100"], BASE["gpu.a100"]
NOBODY_PRICES = {"cam_searches", "pulses", "pbit_updates", "node_reads", "node_writes"}
"""Events of readouts that no chip of the table has, and of p-bits, which are priced elsewhere; a chip that gets one
takes its event out of this set."""
NO_COPROCESSOR = {name: Price() for name in chip_model.COPROCESSOR_EVENTS}


# ---------------------------------------------------------------- GPU


def test_a_roofline_is_compute_memory_or_launch_whichever_binds() -> None:
    launch = 4e-6
    compute = gpu.seconds([Op("product", 10**15, 1)], H100)
    assert compute == pytest.approx(1e15 / (0.65 * 989.4e12) + launch, rel=1e-12)
    memory = gpu.seconds([Op("copy", 1, 10**12)], H100)
    assert memory == pytest.approx(1e12 / (0.8 * 3.35e12) + launch, rel=1e-12)
    assert gpu.seconds([Op("nothing", 0, 0, launches=50)], H100) == pytest.approx(50 * launch, rel=1e-12)


def test_a_kernel_at_full_rate_draws_the_power_limit() -> None:
    """e_flop is derived so; memory traffic of a large product is small beside it."""
    cost = gpu.cost([Op("product", 10**17, 0, launches=0)], H100)
    assert cost.energy_j / cost.time_s == pytest.approx(700.0, rel=1e-12)


def test_other_arithmetic_runs_on_the_vector_units_beside_a_matrix_product() -> None:
    """FP32 without tensor cores: 67 TFLOP/s on the H100; the slower of the two sets the time, both cost energy."""
    vector_s = 10**15 / (0.65 * 67e12)
    both = [Op("fused", 10**12, 0, launches=0, vector_flops=10**15)]
    assert gpu.seconds(both, H100) == pytest.approx(vector_s, rel=1e-12)
    cost = gpu.cost([Op("vector", 0, 0, launches=0, vector_flops=10**15)], H100)
    assert cost.energy_j / cost.time_s == pytest.approx(700.0, rel=1e-12)
    assert gpu.cost(both, H100).items["vector_flops"] == pytest.approx(cost.items["vector_flops"], rel=1e-12)
    eight = gpu.seconds([Op("vector", 0, 0, launches=0, vector_flops=10**15)], H100, number_format="fp8")
    assert eight == pytest.approx(vector_s, rel=1e-12)  # the number format is that of matrix products


def test_a_waiting_gpu_draws_its_idle_power_and_an_array_boundary_pays_arithmetic_only() -> None:
    ops = [Op("a", 10**12, 10**9, launches=3)]
    idle = gpu.cost([Op("wait", 0, 0, launches=1000)], H100)
    assert idle.energy_j == pytest.approx(110.0 * 4e-3, rel=1e-12)
    inner, outer = (gpu.cost(ops, H100, boundary=boundary) for boundary in ("array", "chip"))
    assert list(inner.items) == ["digital_flops", "vector_flops"]
    assert inner.items["digital_flops"] == outer.items["digital_flops"]
    assert outer.energy_j > inner.energy_j
    assert inner.time_s == outer.time_s


def test_the_saturating_batch_is_the_power_of_two_that_the_closed_form_gives() -> None:
    """Time per unit is c + L / k; doubling k saves under 5 % as soon as k > 9 L / c."""
    flop, launches = 10**9, 20

    def ops(batch: int) -> list[Op]:
        return [Op("x", flop * batch, 0, launches)]

    c, overhead = 32 * flop / (0.65 * 989.4e12), launches * 4e-6
    expected = 2 ** math.ceil(math.log2(9 * overhead / c))
    assert gpu.saturating_multiple(ops, 32, H100) == expected
    assert gpu.saturating_multiple(lambda batch: [Op("x", 10**16 * batch, 0)], 1, H100) == 1


def test_fp8_doubles_the_rate_and_a_gpu_without_it_refuses() -> None:
    ops = [Op("product", 10**16, 0, launches=0)]
    bf16, fp8 = (gpu.cost(ops, H100, number_format=name) for name in ("bf16", "fp8"))
    assert bf16.time_s / fp8.time_s == pytest.approx(1979.0 / 989.4, rel=1e-12)
    assert bf16.energy_j / fp8.energy_j == pytest.approx(1979.0 / 989.4, rel=1e-12)
    with pytest.raises(ValueError, match=r"number_format must be one that this GPU has \(bf16\), got 'fp8'"):
        gpu.cost(ops, A100, number_format="fp8")


def test_a_roofline_can_be_traced_and_differentiated() -> None:
    traced = {name: jnp.float32(value) for name, value in H100.items()}
    seconds = jax.jit(lambda t: gpu.seconds([Op("product", 10**15, 10**9)], t))(traced)
    assert float(seconds) == pytest.approx(gpu.seconds([Op("product", 10**15, 10**9)], H100), rel=1e-5)


def test_gpt3_state_needs_35_devices_of_80_gb() -> None:
    assert gpu.devices_needed(16 * 175 * 10**9, H100) == 35
    assert gpu.devices_needed(0, H100) == 1


# ---------------------------------------------------------------- transformers

MEGATRON = [  # hidden, layers, heads, parameters / 1e9 to the printed digits, GPUs, batch, TFLOP/s per GPU
    (3072, 30, 32, 3.6, 64, 512, 138),
    (4096, 36, 32, 7.5, 128, 512, 142),
    (6144, 40, 48, 18.4, 256, 1024, 135),
    (8192, 48, 64, 39.1, 512, 1536, 138),
    (10240, 60, 80, 76.1, 1024, 1792, 140),
    (12288, 80, 96, 145.6, 1536, 2304, 148),
    (16384, 96, 128, 310.1, 1920, 2160, 155),
    (20480, 105, 128, 529.6, 2520, 2520, 163),
    (25600, 128, 160, 1008.0, 3072, 3072, 163),
]


@pytest.mark.parametrize("row", MEGATRON)
def test_parameters_and_flops_match_the_megatron_table(row: tuple) -> None:
    """Narayanan 2021, Table 1 and eq. 2: 96 B s l h^2 (1 + s / 6h + V / 16 l h) with every layer computed twice."""
    h, l, heads, billions, _, batch, _ = row
    shape = flops.Transformer(l, h, heads, 4 * h, 51200, 2048)
    assert flops.parameters(shape) / 1e9 == pytest.approx(billions, rel=0.01, abs=0.05)
    step = flops.step_flops(shape, batch)
    logits = 2 * h * 51200 * batch * 2048
    recomputed = step.total + step.forward - logits + step.attention_forward
    assert recomputed == 96 * batch * 2048 * l * h * h + 16 * batch * 2048**2 * l * h + 6 * batch * 2048 * h * 51200


def test_gpt3_training_takes_the_published_operations() -> None:
    """Brown 2020, Table D.1: 3.14e23 FLOP for 300e9 tokens."""
    shape = flops.model("gpt3")
    sequences = 300_000_000_000 // shape.context
    assert flops.step_flops(shape, sequences).total == pytest.approx(3.14e23, rel=0.03)
    assert 6 * flops.parameters(shape) * 300e9 == pytest.approx(3.14e23, rel=0.03)
    assert flops.parameters(shape) == pytest.approx(175e9, rel=0.01)


def test_the_kernels_of_a_step_hold_the_operations_of_the_step() -> None:
    shape = flops.Transformer(4, 64, 4, 256, 500, 32)
    ops = flops.training_ops(shape, 3)
    assert sum(op.flops for op in ops) == flops.step_flops(shape, 3).total
    pointwise = 30 * 4 * 64 * 3 * 32
    assert sum(op.vector_flops for op in ops) == pointwise + 12 * flops.parameters(shape)
    with pytest.raises(ValueError, match=r"there is no table 'models.gpt9'; known tables are .*models.gpt3"):
        flops.model("gpt9")


def within(predicted: float, published: float, *names: str) -> bool:
    """The published number lies inside the 90 % interval that the named rates give the prediction."""
    spread = math.sqrt(sum(math.log(load()[name].factor) ** 2 for name in names))
    return abs(math.log(predicted / published)) <= spread


def test_the_published_training_time_of_gpt3_on_1024_a100_lies_in_our_interval() -> None:
    """Narayanan 2021: 300e9 tokens at 140 TFLOP/s (a fourth of it recomputed) on 1024 A100 take 34 days.

    Our A100 rate comes from Llama 2 and BLOOM, so this is held out.
    """
    shape = flops.model("gpt3")
    steps, sequences = 300e9 / 3.2e6, 3_200_000 // 2048
    days = steps * gpu.seconds(flops.training_ops(shape, sequences), A100, devices=1024) / 86400
    assert within(days, 34.0, "gpu.a100.training_mfu", "model_form.gpu_many_devices")
    assert days == pytest.approx(34.0, rel=0.25)


@pytest.mark.parametrize("row", MEGATRON)
def test_megatron_iteration_times_lie_in_our_interval(row: tuple) -> None:
    h, l, heads, _, devices, batch, teraflops = row
    shape = flops.Transformer(l, h, heads, 4 * h, 51200, 2048)
    hardware = 96 * batch * 2048 * l * h * h * (1 + 2048 / (6 * h) + 51200 / (16 * l * h))
    published = hardware / (devices * teraflops * 1e12)
    predicted = gpu.seconds(flops.training_ops(shape, batch), A100, devices=devices)
    assert within(predicted, published, "gpu.a100.training_mfu", "model_form.gpu_many_devices")


def test_the_gpu_hours_of_llama_3_lie_in_our_interval() -> None:
    """Llama 3.1 405B: 15.6e12 tokens in 30.84e6 H100 hours, restarts included."""
    hours = 6 * 405e9 * 15.6e12 / gpu.sustained_flops(H100, "bf16", 2) * 2 / 3600
    assert within(hours, 30.84e6, "gpu.h100.training_mfu", "model_form.gpu_many_devices")


# ---------------------------------------------------------------- analog chips


def test_a_full_neurram_core_costs_what_was_measured() -> None:
    """Wan 2022 at 8 bits in, 10 out: 310.7 fJ per MAC and 11.92 us per read; 48 cores give 0.264 TOPS."""
    counts = {"analog_macs": 128 * 256, "dac_samples": 128, "adc_samples": 256, "array_cycles": 1}
    cost = price(counts, CHIPS["reram"].prices(BASE["reram"]))
    assert cost.energy_j / (128 * 256) == pytest.approx(310.7e-15, rel=0.02)
    assert cost.time_s == pytest.approx(11.92e-6, rel=1e-9)
    assert 48 * 2 * 128 * 256 / cost.time_s == pytest.approx(0.2638743e12, rel=0.005)
    assert 2 * 128 * 256 / (cost.energy_j) == pytest.approx(6.437388e12, rel=0.02)  # operations per joule


def test_reram_rates_are_their_published_products() -> None:
    reram = BASE["reram"]
    assert pytest.approx(reram["cell_write_pj"] * 1e-12, rel=0.01) == 1.75**2 / 250e3 * 8.52e-6
    assert pytest.approx(reram["tile_area_mm2"], rel=0.001) == 1270e-6 * 256 / 0.28
    assert pytest.approx(reram["periphery_fraction"], rel=0.001) == 20.0 / 12.4 - 1
    assert pytest.approx(BASE["economics"]["analog_system_overhead_fraction"], rel=0.001) == 12.4 / 6.94 - 1
    assert pytest.approx(reram["buffer_pj_per_byte"], rel=0.001) == 20.45 / 32


def test_an_attention_head_costs_what_was_simulated() -> None:
    """Leroux 2025: 1120 + 700 pJ and 65 ns for two products of 1024 x 64, 330 pJ of converters, 0.5 mm2."""
    capacitor = CHIPS["capacitor"]
    cost = price({"analog_macs": 1024 * 64, "dac_samples": 192, "array_cycles": 2}, capacitor.prices(BASE["capacitor"]))
    assert cost.items["analog_macs"] == pytest.approx(1820e-12, rel=1e-9)
    assert cost.items["dac_samples"] == pytest.approx(330e-12, rel=1e-9)
    # A weight is a pair of cells; each read is followed by 64 conversions at 1.28 GS/s, which the head does without.
    assert cost.time_s - 2 * 64 / 1.28e9 == pytest.approx(65e-9, rel=1e-9)
    assert 16 * (capacitor.tile_area_mm2(BASE["capacitor"]) - 1.2e-3) == pytest.approx(0.5, rel=1e-9)
    assert cost.energy_j + 4e-9 == pytest.approx(6.15e-9, rel=0.001)  # with its digital block
    chip_over_array = math.sqrt((6.15 / 2.15) * (20.0 / 12.4))
    assert chip_over_array - 1 == pytest.approx(BASE["capacitor"]["periphery_fraction"], rel=0.01)


def test_the_isaac_converter_has_its_published_energy() -> None:
    """Shafiee 2016, Table I: 16 mW for 1024 conversions in 100 ns, or 2 mW at 1.2 GS/s."""
    between = math.sqrt((16e-3 * 100e-9 / 1024) * (2e-3 / 1.2e9))
    assert CHIPS["capacitor"].prices(BASE["capacitor"])["adc_samples"].energy_j == pytest.approx(between, rel=0.001)


def test_a_capacitor_write_is_c_v_squared_and_a_conversion_and_refresh_repeats_it() -> None:
    capacitor = BASE["capacitor"]
    write = 25e-15 * 0.81 + 330e-12 / 192
    assert CHIPS["capacitor"].prices(capacitor)["cell_writes"].energy_j == pytest.approx(write, rel=1e-9)
    per_second = 1 / (5e-3 * 0.05)
    assert CHIPS["capacitor"].refresh_w_per_cell(capacitor) == pytest.approx((write + 0.639e-12) * per_second, rel=1e-9)


def test_the_model_error_of_a_chip_is_the_scatter_of_four_published_chips() -> None:
    """2 / (TOPS/W) of HERMES 10.5, the 64-core chip 9.76, a tile of the 34-tile chip 20.0, NeuRRAM 6.437."""
    logs = [math.log(2 / efficiency) for efficiency in (10.5, 9.76, 20.0, 6.437388)]
    mean = sum(logs) / 4
    deviation = math.sqrt(sum((one - mean) ** 2 for one in logs) / 3)
    assert math.exp(1.645 * deviation) == pytest.approx(load()["model_form.analog"].factor, rel=0.03)
    assert pytest.approx(1 / 130e-9, rel=0.001) == 1.008e12 / (2 * 256 * 256)  # HERMES: 130 ns a read
    for name, error in (("gpu_one_device", 0.29), ("gpu_many_devices", 0.174), ("gpu_beside_array", 0.174)):
        factor = math.exp(1.645 * error * math.sqrt(math.pi / 2))
        assert load()[f"model_form.{name}"].factor == pytest.approx(factor, rel=0.01)


@pytest.mark.parametrize("name", CHIPS)
def test_every_chip_prices_every_event_it_has_and_its_energy_balance_closes(name: str) -> None:
    counts = dict.fromkeys(set(EVENTS) - NOBODY_PRICES, 1000)
    work = AnalogWork(counts=counts, tiles=3, cells=500)
    for boundary in ("array", "chip"):
        cost = chip_model.cost(CHIPS[name], work, BASE[name], gpu.prices(H100), 110.0, boundary=boundary)
        assert math.fsum(cost.items.values()) == pytest.approx(cost.energy_j, rel=1e-12)
        assert (cost.items.get("buffer_bytes", 0.0) > 0) == (boundary == "chip")
        assert cost.items["digital_flops"] > 0


def test_an_event_that_no_chip_has_is_refused_by_name() -> None:
    priced = {event for chip in CHIPS.values() for event in chip.prices(BASE[chip.name], False)}
    assert set(EVENTS) - priced - set(chip_model.COPROCESSOR_EVENTS) == NOBODY_PRICES
    for event in NOBODY_PRICES:
        work = AnalogWork(counts={event: 1}, tiles=1)
        with pytest.raises(ValueError, match=f"no price for {event}; priced events are"):
            chip_model.cost(CHIPS["reram"], work, BASE["reram"], gpu.prices(H100), 110.0, boundary="array")


def test_a_chip_pays_for_idle_tiles_leaking_cells_and_its_helper_as_long_as_they_take() -> None:
    def items(tiles: int, cells: int, cycles: int, operations: int = 0) -> dict:
        counts = {"analog_macs": 10, "array_cycles": cycles, "digital_flops": operations}
        work = AnalogWork(counts=counts, tiles=tiles, cells=cells)
        coprocessor = gpu.prices(H100) if operations else NO_COPROCESSOR
        return chip_model.cost(CHIPS["capacitor"], work, BASE["capacitor"], coprocessor, 110.0, boundary="chip").items

    base = items(10, 100, 1000)
    area_mm2, seconds = 10 * (0.5 / 16 + 1.2e-3), 1000 * (32.5e-9 + 50e-9)
    assert base["standing"] == pytest.approx(area_mm2 * 2e-3 * seconds, rel=1e-9)
    assert items(20, 100, 1000)["standing"] == pytest.approx(2 * base["standing"], rel=1e-12)
    assert items(10, 300, 1000)["refresh"] == pytest.approx(3 * base["refresh"], rel=1e-12)
    assert items(10, 100, 5000)["refresh"] == pytest.approx(5 * base["refresh"], rel=1e-12)
    helped = items(10, 100, 1000, operations=10**12)
    assert helped["coprocessor_standing"] == pytest.approx(110.0 * 1e12 / (0.65 * 989.4e12), rel=1e-9)
    assert helped["standing"] > base["standing"]


def test_analog_work_without_tiles_or_with_unknown_events_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 1 tile"):
        AnalogWork(counts={}, tiles=0)
    with pytest.raises(ValueError, match="unknown events macs"):
        AnalogWork(counts={"macs": 1}, tiles=1)


# ---------------------------------------------------------------- machines

EVERYTHING = dict.fromkeys(sorted(set(EVENTS) - NOBODY_PRICES), 10**6)


def everything(**changes: object) -> Workload:
    analog = {name: AnalogWork(counts=EVERYTHING, tiles=5, cells=1000) for name in CHIPS}
    settings: dict = {
        "name": "all",
        "unit": "unit",
        "batch": 4,
        "ops": lambda batch: [Op("compute", 10**12 * batch, 10), Op("copy", 10, 10**9 * batch)],
        "analog": analog,
        "measured": (Measured(hardware="CPU", seconds=Rate(2.0, 1.1, "measured", "timed"), cores=2),),
    }
    return Workload(**(settings | changes))


def all_numbers(workload: Workload, values: dict[str, float], number_format: str) -> list[float]:
    """Every joule, second and dollar of a workload; the machines themselves are chosen at the same values."""
    split = tables(values)
    found = []
    for machine in machines(workload, split, gpu="h100", number_format=number_format):
        for boundary in machine.boundaries:
            cost = machine.cost(split, boundary)
            assert math.fsum(cost.items.values()) == pytest.approx(cost.energy_j, rel=1e-9)
            found += [cost.energy_j, cost.time_s]
        wall = machine.cost(split, "wall plug")
        found.append(machine.dollars(split, wall.energy_j, wall.time_s))
    return found


def test_every_rate_moves_some_number_of_the_table() -> None:
    small, large = everything(), everything(state_bytes=10**12)
    binary = everything(
        analog={name: AnalogWork(counts=EVERYTHING, tiles=5, cells=1000, binary_reads=True) for name in CHIPS}
    )
    rates = {
        name: rate
        for name, rate in load().items()
        if name.startswith(("gpu.h100.", "reram.", "capacitor.", "cpu.", "economics.", "model_form."))
        and name
        not in (
            "gpu.h100.peak_int8_tops",
            "gpu.h100.link_gb_per_s",
            "gpu.h100.price_year",
        )  # in the ledger and the table of devices
    }
    base = medians(rates | own_rates(small))
    runs = [(small, "bf16"), (large, "bf16"), (binary, "bf16"), (small, "fp8")]
    before = [all_numbers(*run[:1], base, run[1]) for run in runs]
    for name in base:
        after = [all_numbers(workload, base | {name: base[name] * 1.5}, form) for workload, form in runs]
        assert after != before, f"{name} moves nothing"


def test_a_core_with_binary_inputs_costs_the_published_49_6_fj_per_mac_and_1_75_us() -> None:
    """Wan 2022, Fig. 12 at 2 bits in and 4 out: 40.33 TOPS/W, so 49.6 fJ for the two operations of a MAC."""
    counts = {"analog_macs": 128 * 256, "dac_samples": 128, "adc_samples": 256, "array_cycles": 1}
    cost = price(counts, CHIPS["reram"].prices(BASE["reram"], True))
    assert cost.energy_j / (128 * 256) == pytest.approx(49.6e-15, rel=0.02)
    assert cost.time_s == pytest.approx(1.75e-6)


def test_a_measured_pass_is_repeated_with_the_doubt_of_its_repeats() -> None:
    program = Measured(hardware="CPU", seconds=Rate(2.0, 1.0, "measured", "timed"), per_pass=True)
    workload = everything(measured=(program,), repeats=Rate(5.0, 2.0, "measured", "runs"))
    split = tables(medians(load() | own_rates(workload)))
    (cpu,) = [one for one in machines(workload, split, gpu="h100", number_format="bf16") if one.hardware == "CPU"]
    assert cpu.cost(split, "chip").time_s == pytest.approx(10.0)
    assert cpu.cost(split, "chip").energy_j == pytest.approx(10.0 * split["cpu"]["watts_per_core"])


def test_the_wall_plug_multiplies_by_computer_and_cooling() -> None:
    workload = everything()
    base = tables(medians(load() | own_rates(workload)))
    by_name = {one.hardware: one for one in machines(workload, base, gpu="h100", number_format="bf16")}
    expected = {"H100": 1.5 * 1.2, "CPU": 1.4 * 1.2}
    for start, factor in expected.items():
        machine = next(one for name, one in by_name.items() if name.startswith(start))
        chip, wall = (machine.cost(base, boundary).energy_j for boundary in ("chip", "wall plug"))
        assert wall / chip == pytest.approx(factor, rel=1e-9)
    reram = by_name[CHIPS["reram"].label]
    chip, wall = (reram.cost(base, boundary) for boundary in ("chip", "wall plug"))
    coprocessor = sum(chip.items[name] for name in (*chip_model.COPROCESSOR_EVENTS, "coprocessor_standing"))
    assert wall.energy_j == pytest.approx(1.2 * (1.5 * coprocessor + 1.787 * (chip.energy_j - coprocessor)), rel=1e-9)


def test_dollars_are_the_device_over_its_working_life_and_electricity() -> None:
    workload = everything(ops=lambda batch: [Op("compute", 10**18 * batch, 0, launches=0)], analog={}, measured=())
    base = tables(medians(load() | own_rates(workload)))
    (machine,) = machines(workload, base, gpu="h100", number_format="bf16")
    cost = machine.cost(base, "wall plug")
    life_s = 4 * 0.6 * 365.25 * 86400
    expected = 31905.0 * cost.time_s / life_s + cost.energy_j / 3.6e6 * 0.07
    assert machine.dollars(base, cost.energy_j, cost.time_s) == pytest.approx(expected, rel=1e-9)


def test_an_unknown_gpu_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match=r"there is no table 'gpu.tpu'; known tables are gpu.a100, .*gpu.h100"):
        table(BASE, "gpu.tpu")


def test_the_dollars_of_an_array_hold_its_silicon_and_every_gpu_beside_it() -> None:
    """n devices take 1 / n of the time: as many GPU-seconds as the coprocessor's throughput says."""
    counts = {"analog_macs": 1, "array_cycles": 10**6, "digital_flops": 10**18}
    workload = everything(
        analog={"capacitor": AnalogWork(counts=counts, tiles=3200)}, measured=(), ops=lambda batch: [], devices=8
    )
    base = tables(medians(load() | own_rates(workload)))
    machine = next(one for one in machines(workload, base, gpu="h100", number_format="bf16") if not one.is_digital)
    cost = machine.cost(base, "wall plug")
    life_s = 4 * 0.6 * 365.25 * 86400
    gpu_s = 1e18 / (0.405 * 989.4e12)
    assert cost.time_s == pytest.approx(10**6 * 82.5e-9 + gpu_s / 8, rel=1e-9)
    silicon_usd = 3200 * (0.5 / 16 + 1.2e-3) * 0.1
    expected = silicon_usd * cost.time_s / life_s + 31905.0 * gpu_s / life_s + cost.energy_j / 3.6e6 * 0.07
    assert machine.dollars(base, cost.energy_j, cost.time_s) == pytest.approx(expected, rel=1e-9)
