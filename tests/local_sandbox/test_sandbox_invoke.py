"""Invoke through plain boto3: replies, failures and limits as AWS words them."""

from __future__ import annotations

import base64
import json
import re
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from botocore.exceptions import ClientError

ECHO = "def handler(event, context): return event"
LIMIT = 6 * 1024 * 1024
UNHANDLED = "Unhandled"


def exit_error(answer: Any, how: str, kind: str = "Runtime.ExitError") -> dict[str, str]:
    return {"errorType": kind, "errorMessage": f"RequestId: {answer.request_id} Error: {how}"}


def refused(call: Any) -> Any:
    with pytest.raises(ClientError) as caught:
        call()
    return caught.value.response


def test_context_tells_the_invocation(deploy: Any, local_aws: Any) -> None:
    function = deploy(
        """
        def handler(event, context):
            names = ("aws_request_id", "function_name", "function_version", "memory_limit_in_mb",
                     "invoked_function_arn", "log_group_name", "log_stream_name")
            client = context.client_context
            return {n: getattr(context, n) for n in names} | {
                "left": context.get_remaining_time_in_millis(), "custom": client and client.custom}
        """,
        Timeout=7,
        MemorySize=320,
    )
    encoded = base64.b64encode(json.dumps({"custom": {"a": "ü"}}).encode()).decode()
    answer = function({}, ClientContext=encoded)
    told = answer.value
    assert told["aws_request_id"] == answer.request_id
    assert told["function_name"] == function.name
    assert told["function_version"] == "$LATEST" == answer.raw["ExecutedVersion"]
    assert told["memory_limit_in_mb"] == "320"
    assert told["invoked_function_arn"] == f"arn:aws:lambda:us-east-1:{local_aws.account_id}:function:{function.name}"
    assert told["log_group_name"] == f"/aws/lambda/{function.name}"
    assert re.fullmatch(r"\d{4}/\d\d/\d\d/\[\$LATEST\][0-9a-f]{32}", told["log_stream_name"])
    assert 5000 < told["left"] <= 7000
    assert told["custom"] == {"a": "ü"}
    assert function({}).value["custom"] is None


def test_no_payload_is_an_empty_object(deploy: Any) -> None:
    function = deploy(ECHO)
    assert json.load(function.client.invoke(FunctionName=function.name)["Payload"]) == {}


def test_qualifier_leads_to_the_version_and_shows_in_the_arn(deploy: Any) -> None:
    function = deploy("def handler(event, context): return [context.function_version, context.invoked_function_arn]")
    number = function.client.publish_version(FunctionName=function.name)["Version"]
    function.client.create_alias(FunctionName=function.name, Name="live", FunctionVersion=number)
    by_number, by_alias = function(Qualifier=number), function(Qualifier="live")
    assert by_number.value == [number, f"arn:aws:lambda:us-east-1:123456789012:function:{function.name}:{number}"]
    assert by_alias.value == [number, f"arn:aws:lambda:us-east-1:123456789012:function:{function.name}:live"]
    assert by_alias.raw["ExecutedVersion"] == number
    inside = function.client.invoke(FunctionName=f"{function.name}:live")
    assert json.load(inside["Payload"]) == by_alias.value
    missing = refused(lambda: function(Qualifier="99"))
    assert missing["Error"]["Code"] == "ResourceNotFoundException"
    assert missing["ResponseMetadata"]["HTTPStatusCode"] == 404


def test_dry_run_runs_nothing(deploy: Any) -> None:
    function = deploy("import sys; sys.exit(1)")
    answer = function(InvocationType="DryRun", LogType="None")
    assert answer.raw["StatusCode"] == 204
    assert answer.error is None


def test_warm_calls_reuse_the_process_and_cold_ones_say_so(deploy: Any) -> None:
    function = deploy(
        """
        import os
        COUNT = [0]
        def handler(event, context):
            COUNT[0] += 1
            return [os.getpid(), COUNT[0]]
        """
    )
    cold, warm = function(), function()
    assert (cold.value[1], warm.value[1]) == (1, 2)
    assert "Init Duration" in cold.report
    assert "Init Duration" not in warm.report


def test_exception(deploy: Any) -> None:
    function = deploy(
        """
        def handler(event, context):
            raise ValueError("wrong " + event["what"])
        """
    )
    answer = function({"what": "tile"})
    assert answer.error == UNHANDLED
    assert answer.value["errorType"] == "ValueError"
    assert answer.value["errorMessage"] == "wrong tile"
    assert answer.value["requestId"] == answer.request_id
    assert re.fullmatch(r' +File ".*app\.py", line 3, in handler\n +raise .*\n', answer.value["stackTrace"][0])
    assert "[ERROR] ValueError: wrong tile" in answer.log
    assert "Status:" not in answer.report


@pytest.mark.parametrize(
    ("statement", "how"),
    [
        ("sys.exit(3)", "Runtime exited with error: exit status 3"),
        ("sys.exit(0)", "Runtime exited without providing a reason"),
        ("os._exit(0)", "Runtime exited without providing a reason"),
        ("os._exit(127)", "Runtime exited with error: exit status 127"),
        ("os.kill(os.getpid(), 9)", "Runtime exited with error: signal: killed"),
        ("os.kill(os.getpid(), 15)", "Runtime exited with error: signal: terminated"),
        ("os.abort()", "Runtime exited with error: signal: aborted"),
        ("ctypes.string_at(0)", "Runtime exited with error: signal: segmentation fault"),
    ],
)
def test_death_in_the_handler(deploy: Any, statement: str, how: str) -> None:
    function = deploy(
        f"""
        import ctypes, os, sys
        def handler(event, context):
            print("before", flush=True)
            if event == "die": {statement}
            return os.listdir("/tmp")
        """
    )
    first = function()
    answer = function("die")
    assert answer.error == UNHANDLED
    assert answer.value == exit_error(answer, how)
    assert "before\n" in answer.log
    assert f"Error: {how}\nRuntime.ExitError\nEND RequestId" in answer.log
    assert answer.report.endswith("\tStatus: error\tError Type: Runtime.ExitError")
    assert function().value == first.value


def test_time_out_is_exact_and_leaves_a_fresh_process_with_the_same_tmp(deploy: Any) -> None:
    function = deploy(
        """
        import os, tempfile, time
        CALLS = []
        def handler(event, context):
            CALLS.append(event)
            if event == "hang":
                open(os.path.join(tempfile.gettempdir(), "kept"), "w").close()
                time.sleep(60)
            return [len(CALLS), os.path.exists(os.path.join(tempfile.gettempdir(), "kept"))]
        """,
        Timeout=2,
    )
    assert function().value == [1, False]
    started = time.monotonic()
    answer = function("hang")
    assert 2 <= time.monotonic() - started < 55
    message = f"RequestId: {answer.request_id} Error: Task timed out after 2.00 seconds"
    assert answer.value == {"errorType": "Sandbox.Timedout", "errorMessage": message}
    assert answer.error == UNHANDLED
    assert f"Z {answer.request_id} Task timed out after 2.00 seconds\n\nEND" in answer.log
    assert "\tDuration: 2000.00 ms\tBilled Duration: 2000 ms\t" in answer.report
    assert answer.report.endswith("\tStatus: timeout")
    assert function().value == [1, True]


@pytest.mark.parametrize(
    ("files", "handler", "kind", "message"),
    [
        ({"app.py": "raise KeyError('x')"}, "app.handler", "KeyError", "'x'"),
        ({"app.py": "import nowhere"}, "app.handler", "Runtime.ImportModuleError", "No module named 'nowhere'"),
        ({"other.py": ""}, "app.handler", "Runtime.ImportModuleError", "No module named 'app'"),
        ({"app.py": ""}, "app.handler", "Runtime.HandlerNotFound", "Handler 'handler' missing on module 'app'"),
        ({"app.py": "def handler(:"}, "app.handler", "Runtime.UserCodeSyntaxError", "Syntax error in module 'app'"),
        ({"app.py": ""}, "app", "Runtime.MalformedHandlerName", "Bad handler 'app'"),
    ],
)
def test_failure_to_load(deploy: Any, files: dict[str, str], handler: str, kind: str, message: str) -> None:
    answer = deploy(files=files, Handler=handler)()
    assert answer.error == UNHANDLED
    assert answer.value["errorType"] == kind
    assert message in answer.value["errorMessage"]
    assert answer.value["requestId"] == ""
    assert "Phase: init\tStatus: error\tError Type: " + kind in answer.log
    assert answer.report.endswith(f"\tStatus: error\tError Type: {kind}")
    assert "Init Duration" not in answer.report


def test_exit_while_loading(deploy: Any) -> None:
    answer = deploy("import sys; sys.exit(2)")()
    assert answer.value == exit_error(answer, "Runtime exited with error: exit status 2")


def test_segmentation_fault_while_loading_shows_as_a_time_out(deploy: Any) -> None:
    answer = deploy("import ctypes; ctypes.string_at(0)", Timeout=2)()
    assert answer.value["errorType"] == "Sandbox.Timedout"


def test_reply_that_is_not_json(deploy: Any) -> None:
    answer = deploy("def handler(event, context): return {1}")()
    assert answer.error == UNHANDLED
    assert answer.value["errorType"] == "Runtime.MarshalError"
    assert answer.value["errorMessage"] == "Unable to marshal response: Object of type set is not JSON serializable"


def test_reply_size_limit(deploy: Any) -> None:
    function = deploy("def handler(event, context): return 'a' * event")
    assert len(function(LIMIT + 98).value) == LIMIT + 98
    answer = function(LIMIT + 99)
    assert answer.error == UNHANDLED
    assert answer.value == {
        "errorMessage": "Response payload size exceeded maximum allowed payload size (6291556 bytes).",
        "errorType": "Function.ResponseSizeTooLarge",
    }
    assert function(1).value == "a"


def test_bytes_are_passed_through(deploy: Any) -> None:
    function = deploy("def handler(event, context): return bytes(range(256))")
    assert function.client.invoke(FunctionName=function.name)["Payload"].read() == bytes(range(256))


def test_memory_limit_covers_the_whole_process_tree(deploy: Any) -> None:
    function = deploy(
        """
        import subprocess, sys, time
        GRAB = "x = bytearray(300 << 20); import time; time.sleep(20)"
        def handler(event, context):
            if event == "self": x = bytearray(300 << 20); time.sleep(20)
            if event == "child": subprocess.run([sys.executable, "-c", GRAB])
            return "fine"
        """,
        MemorySize=256,
    )
    assert function().value == "fine"
    for who in ("self", "child"):
        answer = function(who)
        assert answer.error == UNHANDLED
        assert answer.value == exit_error(answer, "Runtime exited with error: signal: killed", "Runtime.OutOfMemory")
        assert "\tMemory Size: 256 MB\tMax Memory Used: 256 MB\t" in answer.report
        assert answer.report.endswith("\tStatus: error\tError Type: Runtime.OutOfMemory")
    used = re.search(r"Max Memory Used: (\d+) MB", function().report)
    assert used
    assert 5 < int(used[1]) < 128


def test_short_peak_over_the_limit_is_caught_too(deploy: Any) -> None:
    function = deploy(
        """
        def handler(event, context):
            x = bytearray(event << 20)
            return len(x)
        """,
        MemorySize=128,
    )
    assert function(160).value["errorType"] == "Runtime.OutOfMemory"
    assert function(40).value == 40 << 20


def test_forked_children_share_pages_and_are_not_counted_twice(deploy: Any) -> None:
    function = deploy(
        """
        import os, time
        def handler(event, context):
            shared = bytearray(os.urandom(1 << 20) * 120)
            children = []
            for _ in range(3):
                pid = os.fork()
                if pid == 0:
                    time.sleep(1)
                    os._exit(0)
                children.append(pid)
            return [os.waitpid(pid, 0)[1] for pid in children]
        """,
        MemorySize=256,
    )
    assert function().value == [0, 0, 0]


def test_request_size_limit(deploy: Any) -> None:
    function = deploy("def handler(event, context): return len(event)")
    assert function("a" * (LIMIT - 2)).value == LIMIT - 2
    answer = refused(lambda: function("a" * (LIMIT - 1)))
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 413
    assert answer["Error"]["Code"] == "RequestEntityTooLargeException"
    assert answer["Error"]["Message"] == (
        "6291457 byte payload is too large for the RequestResponse invocation type (limit 6291456 bytes)"
    )
    answer = refused(lambda: function("a" * (1 << 20), InvocationType="Event", LogType="None"))
    assert answer["Error"]["Message"] == (
        "1048578 byte payload is too large for the Event invocation type (limit 1048576 bytes)"
    )


def test_payload_must_be_json(deploy: Any) -> None:
    function = deploy(ECHO)
    answer = refused(lambda: function.client.invoke(FunctionName=function.name, Payload=b"\x80\x04K\x01."))
    assert answer["Error"]["Code"] == "InvalidRequestContentException"
    assert answer["Error"]["Message"].startswith("Could not parse request body into json: ")
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 400


def test_client_context_must_be_a_json_object(deploy: Any) -> None:
    function = deploy(ECHO)
    for context in ("!", base64.b64encode(b"[1]").decode()):
        answer = refused(lambda context=context: function({}, ClientContext=context))
        assert answer["Error"]["Code"] == "InvalidRequestContentException"


def test_runtime_of_another_python(deploy: Any) -> None:
    other = "python3.13" if sys.version_info[1] == 12 else "python3.12"
    answer = refused(lambda: deploy(ECHO, Runtime=other)())
    assert answer["Error"]["Code"] == "InvalidRuntimeException"
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 502
    assert other in answer["Error"]["Message"]


def test_reserved_concurrency_throttles(deploy: Any) -> None:
    function = deploy("import time\ndef handler(event, context): time.sleep(event)")
    function(0)
    function.client.put_function_concurrency(FunctionName=function.name, ReservedConcurrentExecutions=1)

    def attempt(_: int) -> Any:
        try:
            return function(1)
        except ClientError as error:
            return error.response

    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(attempt, range(6)))
    refusals = [answer for answer in answers if isinstance(answer, dict)]
    assert 1 <= len(refusals) < 6
    answer = refusals[0]
    assert answer["Error"]["Code"] == "TooManyRequestsException"
    assert answer["Reason"] == "ReservedFunctionConcurrentInvocationLimitExceeded"
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 429
    # As recorded: of a function's own limit AWS does not say how long it lasts.
    assert "retry-after" not in answer["ResponseMetadata"]["HTTPHeaders"]
    function.client.put_function_concurrency(FunctionName=function.name, ReservedConcurrentExecutions=0)
    assert refused(function)["Reason"] == "ReservedFunctionConcurrentInvocationLimitExceeded"


def test_invocations_run_in_parallel_and_never_share_a_sandbox(deploy: Any) -> None:
    function = deploy(
        """
        import time
        BUSY = []
        def handler(event, context):
            assert not BUSY
            BUSY.append(1)
            time.sleep(0.02)
            BUSY.clear()
            return context.log_stream_name
        """
    )
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda number: function(), range(100)))
    assert {answer.error for answer in answers} == {None}
    assert 2 <= len({answer.value for answer in answers}) <= 4


def test_update_ends_the_old_sandboxes(deploy: Any) -> None:
    function = deploy("def handler(event, context): return 1")
    assert function().value == 1
    function.client.update_function_configuration(FunctionName=function.name, MemorySize=192)
    answer = function()
    assert "Memory Size: 192 MB" in answer.report
    assert "Init Duration" in answer.report
