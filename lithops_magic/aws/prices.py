"""AWS Lambda's list prices as a dated static table: computing a cost requires no request."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from lithops_magic.config.limits import FREE_TMP


@dataclass(frozen=True, slots=True)
class Price:
    """USD in the first tier; the free tier and volume tiers are not considered."""

    x86_64: float
    """Per GB-second."""
    arm64: float
    """Per GB-second."""
    ephemeral: float
    """Per GB-second of `/tmp` above 512 MB."""
    request: float = 2e-7
    """Per invocation."""


def _standard(ephemeral: float) -> Price:
    """Return the price of a region that differs from most others only in the price of `/tmp`."""
    return Price(x86_64=0.0000166667, arm64=0.0000133334, ephemeral=ephemeral)


PRICES: Mapping[str, Price] = {
    "af-south-1": Price(0.0000221, 0.00001768, 4.04e-8, 2.7e-7),
    "ap-east-1": Price(0.00002292, 0.0000183, 4.07e-8, 2.8e-7),
    "ap-northeast-1": _standard(3.70e-8),
    "ap-northeast-2": _standard(3.52e-8),
    "ap-northeast-3": _standard(3.70e-8),
    "ap-south-1": _standard(3.52e-8),
    "ap-southeast-1": _standard(3.70e-8),
    "ap-southeast-2": _standard(3.70e-8),
    "ap-southeast-4": _standard(3.70e-8),
    "ap-southeast-5": Price(0.000015, 0.000012, 3.33e-8, 1.8e-7),
    "ca-central-1": _standard(3.40e-8),
    "eu-central-1": _standard(3.67e-8),
    "eu-central-2": Price(0.0000183334, 0.0000146667, 4.41e-8, 2.2e-7),
    "eu-north-1": _standard(3.23e-8),
    "eu-south-1": Price(0.0000195172, 0.0000156138, 3.57e-8, 2.3e-7),
    "eu-west-1": _standard(3.40e-8),
    "eu-west-2": _standard(3.58e-8),
    "eu-west-3": _standard(3.58e-8),
    "me-south-1": Price(0.0000206667, 0.0000165334, 3.74e-8, 2.5e-7),
    "sa-east-1": _standard(5.86e-8),
    "us-east-1": _standard(3.09e-8),
    "us-east-2": _standard(3.09e-8),
    "us-west-1": _standard(3.70e-8),
    "us-west-2": _standard(3.09e-8),
}
"""Regions with known prices, from AWS's calculator (calculator.aws, metered unit map `lambda`, read in 2025), those of
us-east-1 from AWS's price list of 2026-08-19 (offers/v1.0/aws/AWSLambda). Costs in other regions are estimated with
the prices of us-east-1."""


def price_of(region: str) -> Price:
    """Return the region's price; that of us-east-1 if unknown."""
    return PRICES.get(region, PRICES["us-east-1"])


def is_estimate(region: str) -> bool:
    """Whether costs in this region are computed with another region's price."""
    return region not in PRICES


def estimate_note(region: str) -> str:
    """Return the note to show with costs in a region without known prices; else empty."""
    if not is_estimate(region):
        return ""
    return f"The price of AWS Lambda in {region} is not known here: costs are estimated at the price of us-east-1."


def compute_cost(billed_ms: float, memory_mb: int, architecture: str, ephemeral_mb: int, region: str) -> float:
    """USD for a sandbox's billed time, without the price of the request."""
    price = price_of(region)
    gigabyte_second = price.arm64 if architecture == "arm64" else price.x86_64
    ephemeral = max(0, ephemeral_mb - FREE_TMP) / 1024 * price.ephemeral
    return billed_ms / 1000 * (memory_mb / 1024 * gigabyte_second + ephemeral)


def invocation_cost(billed_ms: float, memory_mb: int, architecture: str, ephemeral_mb: int, region: str) -> float:
    """USD for one invocation, including its request."""
    return price_of(region).request + compute_cost(billed_ms, memory_mb, architecture, ephemeral_mb, region)
