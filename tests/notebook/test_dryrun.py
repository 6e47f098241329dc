from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import pytest
from IPython.terminal.interactiveshell import TerminalInteractiveShell

from lithops_magic import MapOptions, Settings
from lithops_magic.aws import prices
from lithops_magic.engine.backend.dry_run import plan
from lithops_magic.errors import PackageError, SerializationError
from lithops_magic.notebook.display.dry_run import describe
from localaws import LocalAws
from recording import record_no_job

pytestmark = pytest.mark.usefixtures("local_aws")

SETTINGS = Settings(memory=1024, timeout=100)


def text(function: Any = abs, items: Any = (1, 2), reduce: Any = None, **options: Any) -> Any:
    found = plan(function, items, options=MapOptions(**options), settings=SETTINGS, reduce=reduce)
    return describe(found)["text/plain"]


def test_a_dry_run_tells_everything_and_does_nothing(
    loaded: TerminalInteractiveShell,
    run: Callable[..., tuple[str, str]],
    local_aws: LocalAws,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    record_no_job(monkeypatch)
    run("data = bytes(5000)\n%lambda_clean")
    before = local_aws.requests()
    options = "-o r --memory 1024 --timeout 10 --retries 0 --dry-run --env KEY=secret"
    cell = f"%%lambda_map x in range(1000) {options}\nlen(data)"
    out, _ = run(cell)
    after = {name: count - before.get(name, 0) for name, count in local_aws.requests().items()}
    assert {name for name, count in after.items() if count} <= {"lambda:GetFunction", "lambda:ListLayerVersions"}
    assert "r" not in loaded.user_ns
    for part in (
        "Dry run: nothing was sent, nothing was created.",
        "where     local AWS at http://127.0.0.1",
        "items     1,000",
        "(with data 5 KB) · first item ",
        "lithops-magic-",
        "to be deployed · 1,024 MB, 10 s, 512 MB of /tmp · with KEY",
        "packages  none",
        # 1,000 x (10 s x 1 GB x $0.0000166667 + $0.0000002)
        "at most $0.17: 1,000 tasks, at most $0.00017 for a task that runs once into its timeout of 10 s",
        "(AWS list price, free here)",
    ):
        assert part in out
    assert "secret" not in out
    run(cell.replace(" --dry-run", ""))
    out, _ = run(cell)
    assert "deployed already" in out


def test_a_generator_is_not_consumed() -> None:
    items = iter([1, 2, 3])
    shown = text(items=items)
    assert list(items) == [1, 2, 3]
    assert "items     unknown: they come from an iterator, which was not touched" in shown
    assert "first item" not in shown
    assert "cost      at most $0." in shown
    assert "items     unknown" in text(items=itertools.count())


def test_the_worst_case_counts_attempts_memory_copies_and_the_reduction() -> None:
    second = 1 / 1024 * 0.0000166667
    once = 100 * 1024 * second + 2e-7
    for options, expected in (
        ({"retries": 0}, once),
        ({}, 3 * once),
        ({"retries": 1, "retry_memory": 2.0}, 100 * (1024 + 2048) * second + 2 * 2e-7),
        ({"retries": 3, "retry_memory": 4.0}, 100 * (1024 + 4096 + 2 * 10_240) * second + 4 * 2e-7),
        ({"retries": 0, "backups": True}, 2 * once),
    ):
        found = plan(abs, [1, 2], options=MapOptions(**options), settings=SETTINGS, reduce=sum)
        assert found.item_cost == pytest.approx(expected)
        assert found.cost == pytest.approx(3 * expected)
    assert "nothing more is sent once $2.50 is spent" in text(max_cost=2.5)
    assert "3 times into its timeout of 1 min 40 s, and its backup copy" in text(backups=True)


def test_packages_are_named_with_their_size_and_state() -> None:
    shown = text(packages="iniconfig")
    assert "packages  iniconfig " in shown
    assert "to be uploaded: " in shown
    assert "named once its packages are uploaded · to be deployed" in shown


def test_what_could_not_be_run_is_told_by_a_dry_run_too() -> None:
    with pytest.raises(SerializationError, match="first item cannot be pickled"):
        text(items=[(n for n in ())])
    with pytest.raises(PackageError):
        text(packages="no such requirement !")


def test_html_is_escaped_and_survives_untrusted_notebooks() -> None:
    found = plan(abs, [1], options=MapOptions(env=(("A", "1"),)), settings=SETTINGS.replace(source="<b>x</b>"))
    shown = describe(found)["text/html"]
    assert "&lt;b&gt;x" in shown
    assert "class=" not in shown


def test_a_region_without_a_known_price_says_that_costs_are_estimates(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "not known here" not in text()
    known = {region: price for region, price in prices.PRICES.items() if region != "us-east-1"}
    monkeypatch.setattr(prices, "is_estimate", lambda region: region not in known)
    assert "in us-east-1 is not known here: costs are estimated" in text()
