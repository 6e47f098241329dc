"""The regions that have AWS Lambda, as botocore lists them."""

from __future__ import annotations

from functools import cache

from lithops_magic.closest import closest


@cache
def lambda_regions() -> tuple[str, ...]:
    """Return their names, grouped by partition."""
    # Imported here, because most importers of this module never call it.
    from botocore.session import get_session

    session = get_session()
    partitions = session.get_available_partitions()
    found = [sorted(session.get_available_regions("lambda", partition_name=name)) for name in partitions]
    return tuple(name for names in found for name in names)


def is_unknown(region: str) -> bool:
    """Whether botocore does not know this region."""
    return region not in lambda_regions()


def advice(region: str) -> str:
    """Return what to write instead of an unknown region."""
    close = closest(region, lambda_regions())
    hint = f"Did you mean {close}?" if close else "Write it like us-east-1."
    return f"{hint} A brand-new region needs a newer boto3."
