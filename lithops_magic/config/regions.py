"""The regions that have AWS Lambda, as botocore's own data lists them; botocore itself is not imported."""

from __future__ import annotations

import importlib.util
import json
from functools import cache
from pathlib import Path

from lithops_magic.closest import closest


@cache
def lambda_regions() -> tuple[str, ...]:
    """Return their names, partition by partition; none if this botocore keeps them elsewhere."""
    spec = importlib.util.find_spec("botocore")
    folders = spec.submodule_search_locations if spec is not None else None
    try:
        data = json.loads(Path((folders or [""])[0], "data", "endpoints.json").read_bytes())
    except OSError:
        return ()
    found = [sorted(partition["services"].get("lambda", {}).get("endpoints", ())) for partition in data["partitions"]]
    return tuple(name for names in found for name in names if not name.startswith("fips-"))


def is_unknown(region: str) -> bool:
    """Tell whether botocore knows Lambda's regions, and this is none of them."""
    return bool(lambda_regions()) and region not in lambda_regions()


def advice(region: str) -> str:
    """Return what to write instead of a region that is unknown."""
    close = closest(region, lambda_regions())
    hint = f"Did you mean {close}?" if close else "Write it like us-east-1."
    return f"{hint} A brand-new region needs a newer boto3."
