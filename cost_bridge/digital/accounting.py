"""What a run costs under three ways of counting: buy everything, rent for the run, spread the purchase over its life.

Arithmetic only: arrays pass through.
"""

from typing import NamedTuple

from ..price import Number

HOURS_PER_YEAR = 8760.0


class Shares(NamedTuple):
    """Parts of a cost; they sum to 1. Hardware is split in two."""

    gpus: Number
    other_hardware: Number
    staff: Number
    power: Number

    @property
    def hardware(self) -> Number:
        """GPUs and what surrounds them."""
        return self.gpus + self.other_hardware


def gpu_share(gpus_usd: Number, node_usd: Number, *, markup_usd: Number = 0.0, interconnect: Number = 0.0) -> Number:
    """GPUs in the cost of a cluster: a node without the seller's markup, its interconnect a share of the whole.

    The report's 1 - 195,000 / ((269,010 - 42,000) * 5/4), with 5/4 = 1 / (1 - 0.2).
    """
    return gpus_usd / ((node_usd - markup_usd) / (1 - interconnect))


def buy_all(*, compute_usd: Number, staff_usd: Number, power_usd: Number, gpu_share_of_hardware: Number) -> Shares:
    """Shares when a year's spending on computing (power inside it) and staff is the cost of the model."""
    whole = compute_usd + staff_usd
    hardware = (compute_usd - power_usd) / whole
    return Shares(
        hardware * gpu_share_of_hardware,
        hardware * (1 - gpu_share_of_hardware),
        staff_usd / whole,
        power_usd / whole,
    )


def cluster_usd(gpus: Number, gpu_usd: Number, gpu_share_of_hardware: Number) -> Number:
    """Price of a cluster from its GPUs."""
    return gpus * gpu_usd / gpu_share_of_hardware


def rent_usd(gpus: Number, days: Number, usd_per_gpu_hour: Number) -> Number:
    """Renting for the run."""
    return gpus * days * 24 * usd_per_gpu_hour


def electricity_usd(gpus: Number, watts_per_gpu: Number, hours: Number, usd_per_kwh: Number) -> Number:
    """The power bill of `hours`."""
    return gpus * watts_per_gpu / 1000 * hours * usd_per_kwh


def amortised_usd(purchase_usd: Number, run_hours: Number, *, life_years: Number, utilisation: Number) -> Number:
    """The share of a purchase that a run uses up."""
    return purchase_usd * run_hours / (life_years * HOURS_PER_YEAR * utilisation)


def usd_per_tops(price_usd: Number, tera_operations_per_s: Number) -> Number:
    """Price of a device by its dense 10^12 operations a second."""
    return price_usd / tera_operations_per_s


def price_at_margin(price_usd: Number, margin: Number, new_margin: Number) -> Number:
    """The price that leaves `new_margin` at the same manufacturing cost: price (1 - m) / (1 - m')."""
    return price_usd * (1 - margin) / (1 - new_margin)


def margin_of_markup(price_over_cost: Number) -> Number:
    """Gross margin when the price is so many times the manufacturing cost."""
    return 1 - 1 / price_over_cost


def service_price(cost_usd: Number, *, seller_margin: Number) -> Number:
    """Training as a service: what a buyer pays whose seller keeps a gross margin."""
    return cost_usd / (1 - seller_margin)
