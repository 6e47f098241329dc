"""AWS Lambda's list prices, a dated static table: no request is made to know a cost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

AS_OF = "2026-08-19"
"""Publication date of AWS's price list (offers/v1.0/aws/AWSLambda) that these figures are from."""

REQUEST_PRICE = 2e-7
"""USD per invocation."""


@dataclass(frozen=True, slots=True)
class Price:
    """USD per GB-second, first tier; the free tier and volume tiers are not known here."""

    x86_64: float
    arm64: float
    ephemeral: float
    """Of `/tmp` above 512 MB."""


US_EAST = Price(x86_64=0.0000166667, arm64=0.0000133334, ephemeral=0.0000000309)

PRICES: Mapping[str, Price] = {"us-east-1": US_EAST, "us-east-2": US_EAST}
"""Regions whose price is known; the others are estimated with the one of us-east-1."""


def is_estimate(region: str) -> bool:
    """Tell whether costs in this region are computed with another region's price."""
    return region not in PRICES


def compute_cost(billed_ms: float, memory_mb: int, architecture: str, ephemeral_mb: int, region: str) -> float:
    """USD for the time a sandbox was billed, without the price of the request."""
    price = PRICES.get(region, US_EAST)
    gigabyte_second = price.arm64 if architecture == "arm64" else price.x86_64
    ephemeral = max(0, ephemeral_mb - 512) / 1024 * price.ephemeral
    return billed_ms / 1000 * (memory_mb / 1024 * gigabyte_second + ephemeral)


def invocation_cost(billed_ms: float, memory_mb: int, architecture: str, ephemeral_mb: int, region: str) -> float:
    """USD for one invocation, its request included."""
    return REQUEST_PRICE + compute_cost(billed_ms, memory_mb, architecture, ephemeral_mb, region)
