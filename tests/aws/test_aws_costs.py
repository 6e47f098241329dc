"""The REPORT line and what it costs."""

from __future__ import annotations

import pytest

from lithops_magic.aws.invoke.report import InvocationReport, parse_report
from lithops_magic.aws.prices import PRICES, Price, _standard, compute_cost, estimate_note, invocation_cost, is_estimate

COLD = (
    "START RequestId: a Version: $LATEST\nEND RequestId: a\n"
    "REPORT RequestId: a\tDuration: 395.99 ms\tBilled Duration: 662 ms\tMemory Size: 128 MB\t"
    "Max Memory Used: 50 MB\tInit Duration: 265.72 ms\t\n"
)
WARM = "REPORT RequestId: a\tDuration: 2.00 ms\tBilled Duration: 2 ms\tMemory Size: 1769 MB\tMax Memory Used: 50 MB\t\n"


def test_a_cold_and_a_warm_report() -> None:
    assert parse_report(COLD) == InvocationReport(395.99, 662, 128, 50, 265.72)
    assert parse_report(WARM) == InvocationReport(2.0, 2, 1769, 50, None)


def test_the_last_report_counts_and_a_cut_one_does_not() -> None:
    assert parse_report(COLD + WARM) == parse_report(WARM)
    assert parse_report(COLD[: COLD.index("Max")]) is None
    assert parse_report("print('REPORT RequestId: a')") is None


def test_a_timed_out_invocation_has_a_report() -> None:
    report = parse_report(WARM.rstrip("\n") + "Status: timeout\n")
    assert report is not None
    assert report.init_ms is None


def test_a_thousand_seconds_of_one_vcpu() -> None:
    cost = 1000 * compute_cost(1000, 1769, "x86_64", 512, "us-east-1")
    assert cost == pytest.approx(0.0288, abs=0.0001)
    assert 1000 * invocation_cost(1000, 1769, "x86_64", 512, "us-east-1") == pytest.approx(cost + 0.0002)


def test_arm_is_cheaper_and_more_tmp_dearer() -> None:
    plain = compute_cost(1000, 1024, "x86_64", 512, "us-east-1")
    assert compute_cost(1000, 1024, "arm64", 512, "us-east-1") == pytest.approx(0.8 * plain, rel=0.001)
    assert compute_cost(1000, 1024, "x86_64", 1536, "us-east-1") == pytest.approx(plain + 3.09e-8)


@pytest.mark.parametrize(
    ("region", "architecture", "usd"),
    [
        # 10 s at 2 GB, with 2 GB of /tmp above 512 MB, by hand from the price list.
        ("us-east-1", "x86_64", 20 * 0.0000166667 + 20 * 0.0000000309 + 0.0000002),
        ("eu-central-1", "arm64", 20 * 0.0000133334 + 20 * 0.0000000367 + 0.0000002),
        ("af-south-1", "x86_64", 20 * 0.0000221 + 20 * 0.0000000404 + 0.00000027),
        ("ap-southeast-5", "arm64", 20 * 0.000012 + 20 * 0.0000000333 + 0.00000018),
    ],
)
def test_regions_have_their_own_prices(region: str, architecture: str, usd: float) -> None:
    assert invocation_cost(10_000, 2048, architecture, 2560, region) == pytest.approx(usd, rel=1e-9)


def test_the_standard_price_is_charged_in_most_regions() -> None:
    assert _standard(3.70e-8) == Price(0.0000166667, 0.0000133334, 3.70e-8, 0.0000002)


def test_no_tmp_above_what_is_free_costs_nothing() -> None:
    assert compute_cost(1000, 1024, "x86_64", 512, "us-east-1") == pytest.approx(0.0000166667, rel=1e-12)
    assert compute_cost(1000, 1024, "x86_64", 100, "us-east-1") == pytest.approx(0.0000166667, rel=1e-12)


def test_a_region_without_a_known_price_is_an_estimate_and_says_so() -> None:
    assert not is_estimate("eu-west-1")
    assert estimate_note("eu-west-1") == ""
    assert is_estimate("mars-north-1")
    assert "mars-north-1" in estimate_note("mars-north-1")
    assert "us-east-1" in estimate_note("mars-north-1")
    assert compute_cost(1, 1024, "x86_64", 512, "mars-north-1") == compute_cost(1, 1024, "x86_64", 512, "us-east-1")


def test_no_price_is_a_slip_of_the_pen() -> None:
    base = PRICES["us-east-1"]
    for price in PRICES.values():
        assert 0.85 < price.x86_64 / base.x86_64 < 1.5
        assert price.arm64 / price.x86_64 == pytest.approx(0.8, abs=0.003)
        assert 0.85 < price.request / base.request < 1.5
        assert 0.9 < price.ephemeral / base.ephemeral < 2
