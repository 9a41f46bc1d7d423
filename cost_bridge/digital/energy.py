"""Electricity of runs and sites. All of it becomes heat on the site. Arithmetic only: arrays pass through."""

from ..price import Number

HOURS_PER_YEAR = 8760.0


def run_mwh(flops: Number, flops_per_s: Number, watts: Number, *, pue: Number = 1.0) -> Number:
    """Energy of a run: device hours at a sustained rate times watts per device times the cooling factor."""
    return flops / flops_per_s * watts * pue / 3.6e9


def hours_mwh(device_hours: Number, watts: Number, *, pue: Number = 1.0) -> Number:
    """Energy of device hours at a power: for published hours at the power limit this only restates them."""
    return device_hours * watts * pue / 1e6


def site_w(devices: Number, watts_per_device: Number, *, pue: Number = 1.0) -> Number:
    """Power drawn by a site, and the heat it gives off."""
    return devices * watts_per_device * pue


def bought_site_w(
    budget_usd: Number, device_usd: Number, watts_per_device: Number, *, hardware: Number, devices: Number
) -> Number:
    """Power of what a budget buys: the share that is hardware, the share of it that is devices."""
    return site_w(budget_usd * hardware * devices / device_usd, watts_per_device)


def fleet_twh_per_year(revenue_usd: Number, device_usd: Number, watts: Number) -> Number:
    """Energy in a year of all devices that a year's revenue bought, always on: an upper bound."""
    return revenue_usd / device_usd * watts * HOURS_PER_YEAR / 1e12


def heat_flux_w_per_m2(site_power_w: Number, area_m2: Number) -> Number:
    """Heat given off per area of the site; the sun at noon is about 1000."""
    return site_power_w / area_m2
