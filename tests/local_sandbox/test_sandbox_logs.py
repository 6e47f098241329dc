"""Log tail, REPORT line and CloudWatch Logs events."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Callable
from typing import Any

REPORT = re.compile(
    r"REPORT RequestId: (?P<id>\S+)\tDuration: (?P<duration>\d+\.\d\d) ms\tBilled Duration: (?P<billed>\d+) ms\t"
    r"Memory Size: 256 MB\tMax Memory Used: (?P<used>\d+) MB\t(?:Init Duration: (?P<init>\d+\.\d\d) ms\t)?"
)


def wait_for(look: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + 120
    while not (found := look()):
        assert time.monotonic() < deadline, "nothing arrived"
        time.sleep(0.05)
    return found


def events_of(local_aws: Any, function: Any, last: str) -> list[str]:
    """All log lines of a function, once one that contains `last` is there."""
    logs = local_aws.client("logs")

    def look() -> list[str]:
        try:
            found = logs.filter_log_events(logGroupName=f"/aws/lambda/{function.name}")["events"]
        except logs.exceptions.ResourceNotFoundException:
            return []
        lines = [event["message"].rstrip("\n") for event in found]
        return lines if any(last in line for line in lines) else []

    found: list[str] = wait_for(look)
    return found


def test_tail_and_report_line(deploy: Any) -> None:
    function = deploy(
        """
        import os, sys, time
        print("loading")
        def handler(event, context):
            print("to stdout")
            print("to stderr", file=sys.stderr)
            os.system("echo from a child")
            time.sleep(event)
        """
    )
    cold, warm = function(0.05), function(0)
    start = f"START RequestId: {cold.request_id} Version: $LATEST\n"
    end = f"END RequestId: {cold.request_id}\n"
    assert cold.log.startswith("loading\n" + start + "to stdout\nto stderr\nfrom a child\n" + end)
    for answer in (cold, warm):
        report = REPORT.fullmatch(answer.report)
        assert report, answer.report
        assert report["id"] == answer.request_id
        assert int(report["billed"]) == math.ceil(round(float(report["duration"]) + float(report["init"] or 0), 2))
    report = REPORT.fullmatch(cold.report)
    assert report
    assert report["init"]
    assert float(report["duration"]) >= 50
    assert "loading" not in warm.log


def test_tail_is_the_last_4_kb_and_only_on_request(deploy: Any) -> None:
    function = deploy("def handler(event, context): print('x' * 100_000 + 'end')")
    answer = function()
    assert len(answer.log) == 4096
    assert "xend\nEND RequestId" in answer.log
    assert "LogResult" not in function.client.invoke(FunctionName=function.name)


def test_events_reach_cloudwatch(deploy: Any, local_aws: Any) -> None:
    function = deploy(
        """
        import logging
        def handler(event, context):
            print("printed", event)
            logging.getLogger().warning("logged")
            return context.log_stream_name
        """
    )
    first, second = function(1), function(2)
    lines = events_of(local_aws, function, f"REPORT RequestId: {second.request_id}")
    assert [line for line in lines if "printed" in line] == ["printed 1", "printed 2"]
    assert sum(line.startswith("[WARNING]\t") and line.endswith("\tlogged") for line in lines) == 2
    assert [line.split()[0] for line in lines].count("REPORT") == 2
    streams = local_aws.client("logs").describe_log_streams(logGroupName=f"/aws/lambda/{function.name}")["logStreams"]
    assert [stream["logStreamName"] for stream in streams] == [first.value]


def test_traceback_is_one_event(deploy: Any, local_aws: Any) -> None:
    function = deploy("def handler(event, context): return 1 / 0")
    answer = function()
    lines = events_of(local_aws, function, f"REPORT RequestId: {answer.request_id}")
    errors = [line for line in lines if "ZeroDivisionError" in line]
    assert len(errors) == 1
    assert "app.py" in errors[0]


def test_log_group_of_the_function_s_choice(deploy: Any, local_aws: Any) -> None:
    group = f"/elsewhere/{time.time_ns()}"
    function = deploy("def handler(event, context): return context.log_group_name", LoggingConfig={"LogGroup": group})
    assert function().value == group
    logs = local_aws.client("logs")
    wait_for(lambda: logs.describe_log_groups(logGroupNamePrefix=group)["logGroups"])


def test_asynchronous_invocation_is_accepted_and_runs(deploy: Any, local_aws: Any) -> None:
    function = deploy("def handler(event, context): print('async', event, context.aws_request_id)")
    answer = function({"n": 1}, InvocationType="Event", LogType="None")
    assert answer.raw["StatusCode"] == 202
    assert answer.raw["Payload"].read() == b""
    lines = events_of(local_aws, function, "REPORT")
    assert f"async {{'n': 1}} {answer.request_id}" in lines
