"""The runtime without a server: what no server lets one choose, and what happens when the server dies."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

import lithops_magic
from lithops_magic.local.control.invoke import Invoker
from lithops_magic.local.model import Mount, Request, RunnableVersion, ServiceError
from sandbox_help import Journal

WHERE = """
import os, sys, tempfile
def handler(event, context):
    return {
        "task": os.environ["LAMBDA_TASK_ROOT"],
        "file": __file__,
        "tmp": tempfile.gettempdir(),
        "mount": os.environ.get("LAMBDA_MOUNT_DATA_1"),
        "secret": os.environ.get("HOST_SECRET"),
        "import": [name for name in ("pip", "numpy", "pytest", "boto3") if find(name)],
        "path": sys.path,
    }
def find(name):
    import importlib.util
    return importlib.util.find_spec(name) is not None
"""


NOBODY = 65534


def wait_until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 120
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def with_marker(marker: str) -> list[int]:
    """Processes whose command line contains `marker`."""
    found = []
    for process in psutil.process_iter(["cmdline", "status"]):
        alive = process.info["status"] != psutil.STATUS_ZOMBIE
        if alive and any(marker in part for part in process.info["cmdline"] or ()):
            found.append(process.pid)
    return found


def test_without_namespaces_folders_come_by_environment(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOST_SECRET", "s")
    shared = bench.folder / "efs"
    shared.mkdir()

    async def scenario() -> Any:
        async with bench.running(isolation="none") as runtime:
            assert "without namespaces" in runtime.note
            version = bench.version(WHERE, mounts=(Mount("/mnt/data.1", shared),))
            return version, (await bench.invoke(runtime, version))[0]

    version, seen = asyncio.run(scenario())
    assert seen["task"] == str(version.code)
    assert seen["file"] == str(version.code / "app.py")
    assert seen["tmp"].startswith(str(bench.folder))
    assert seen["mount"] == str(shared)
    assert seen["secret"] is None
    assert seen["import"] == ["boto3"]
    assert seen["path"][0] == str(version.code)
    assert seen["path"][2].endswith("/python")


def test_shim_client_serves_where_the_native_one_is_missing(bench: Any) -> None:
    source = """
        import runtime_client
        def handler(event, context):
            if event == "raise": raise ValueError("ü")
            if event == "set": return {1}
            left = context.get_remaining_time_in_millis()
            return [runtime_client.__file__.endswith(".py"), event, context.client_context, 0 < left <= 30000]
        """

    async def scenario() -> None:
        async with bench.running(native_client=False) as runtime:
            version = bench.version(source)
            for _ in range(2):
                assert (await bench.invoke(runtime, version, "ä" * 500_000))[0] == [True, "ä" * 500_000, None, True]
            value, invoked = await bench.invoke(runtime, version, "raise")
            assert (value["errorType"], value["errorMessage"], invoked.function_error) == (
                "ValueError",
                "ü",
                "Unhandled",
            )
            assert (await bench.invoke(runtime, version, "set"))[0]["errorType"] == "Runtime.MarshalError"
            broken = bench.version("import nowhere")
            assert (await bench.invoke(runtime, broken))[0]["errorType"] == "Runtime.ImportModuleError"
            big = bench.version("def handler(event, context): return 'a' * 7_000_000")
            assert (await bench.invoke(runtime, big))[0]["errorType"] == "Function.ResponseSizeTooLarge"

    asyncio.run(scenario())


@pytest.mark.parametrize("isolation", ["auto", "none"])
def test_failures_are_the_same_with_and_without_namespaces(bench: Any, isolation: str) -> None:
    source = """
        import ctypes, os, sys, time
        def handler(event, context):
            exec(event)
        """
    expected = {
        "sys.exit(4)": "Runtime exited with error: exit status 4",
        "os._exit(0)": "Runtime exited without providing a reason",
        "os.kill(os.getpid(), 9)": "Runtime exited with error: signal: killed",
        "ctypes.string_at(0)": "Runtime exited with error: signal: segmentation fault",
        "time.sleep(60)": "Task timed out after 2.00 seconds",
        "x = bytearray(400 << 20); time.sleep(60)": "Runtime exited with error: signal: killed",
    }

    async def scenario() -> dict[str, str]:
        async with bench.running(isolation=isolation) as runtime:
            # Each of the others may take its time on a busy machine.
            short, long = bench.version(source, timeout=2), bench.version(source, timeout=120)
            told = {}
            for code in expected:
                value, _ = await bench.invoke(runtime, short if code == "time.sleep(60)" else long, code)
                told[code] = value["errorMessage"].partition("Error: ")[2]
            return told

    assert asyncio.run(scenario()) == expected


def test_mounts_are_shared_and_at_their_path(bench: Any) -> None:
    shared = bench.folder / "efs"
    shared.mkdir()
    source = """
        import os
        FOLDER = os.environ.get("LAMBDA_MOUNT_DATA", "/mnt/data")
        def handler(event, context):
            open(FOLDER + "/" + event, "w").close()
            return sorted(os.listdir(FOLDER))
        """

    async def scenario() -> None:
        async with bench.running() as runtime:
            mounts = (Mount("/mnt/data", shared),)
            one, two = bench.version(source, mounts=mounts), bench.version(source, mounts=mounts)
            assert (await bench.invoke(runtime, one, "a"))[0] == ["a"]
            assert (await bench.invoke(runtime, two, "b"))[0] == ["a", "b"]

    asyncio.run(scenario())
    assert sorted(path.name for path in shared.iterdir()) == ["a", "b"]


COUNT = """
import uuid
ME = uuid.uuid4().hex
def handler(event, context):
    import time
    time.sleep(event or 0)
    return ME
"""


def test_most_recently_used_sandbox_is_taken_and_least_recently_used_retired(bench: Any) -> None:
    async def scenario() -> None:
        async with bench.running(workers=2) as runtime:
            one, two, three = (bench.version(COUNT, name=name) for name in "abc")
            pair = await asyncio.gather(bench.invoke(runtime, one, 0.3), bench.invoke(runtime, one, 0.3))
            assert pair[0][0] != pair[1][0]
            again = {(await bench.invoke(runtime, one))[0] for _ in range(5)}
            assert len(again) == 1
            first = again.pop()
            await bench.invoke(runtime, two)
            assert (await bench.invoke(runtime, one))[0] == first
            await bench.invoke(runtime, three)
            assert (await bench.invoke(runtime, one))[0] == first
            await bench.invoke(runtime, two)
            await bench.invoke(runtime, three)
            assert (await bench.invoke(runtime, one))[0] != first

    asyncio.run(scenario())


def test_no_more_sandboxes_than_workers_and_everyone_gets_a_turn(bench: Any) -> None:
    async def scenario() -> None:
        async with bench.running(workers=2) as runtime:
            versions = [bench.version(COUNT, name=name) for name in "abc"]
            calls = [asyncio.create_task(bench.invoke(runtime, versions[number % 3], 0.05)) for number in range(18)]
            await asyncio.sleep(0)
            assert runtime.busy == 18
            most = 0
            own = psutil.Process()
            while not all(call.done() for call in calls):
                most = max(most, sum(child.status() != psutil.STATUS_ZOMBIE for child in own.children()))
                await asyncio.sleep(0.02)
            # One that is ending may overlap with its successor.
            assert most <= 4
            assert all(not call.result()[1].function_error for call in calls)
            assert runtime.busy == 0

    asyncio.run(scenario())


def test_retired_sandboxes_end_and_busy_ones_finish_first(bench: Any) -> None:
    async def scenario() -> None:
        async with bench.running() as runtime:
            version = bench.version(COUNT)
            before = (await bench.invoke(runtime, version))[0]
            slow = asyncio.create_task(bench.invoke(runtime, version, 0.5))
            await asyncio.sleep(0.1)
            await runtime.retire("f")
            assert (await slow)[0] == before
            assert (await bench.invoke(runtime, version))[0] != before

    asyncio.run(scenario())


def test_caller_that_goes_away_does_not_stop_the_invocation(bench: Any) -> None:
    async def scenario() -> None:
        async with bench.running() as runtime:
            version = bench.version(COUNT)
            before = (await bench.invoke(runtime, version))[0]
            call = asyncio.create_task(bench.invoke(runtime, version, 0.3))
            await asyncio.sleep(0.1)
            call.cancel()
            while runtime.busy:
                await asyncio.sleep(0.02)
            assert (await bench.invoke(runtime, version))[0] == before

    asyncio.run(scenario())


def test_long_initialisation_starts_again_inside_the_invocation(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    # Waiting for the real 10 s would only make the test slower.
    monkeypatch.setattr("lithops_magic.local.sandbox.sandbox.INIT_LIMIT", 1.0)
    source = """
        import time
        time.sleep(1.5)
        def handler(event, context): return "up"
        """

    async def scenario() -> None:
        async with bench.running() as runtime:
            value, invoked = await bench.invoke(runtime, bench.version(source))
            assert value == "up"
            assert re.match(r"INIT_REPORT Init Duration: \d{4,}\.\d\d ms\tPhase: init\tStatus: timeout\n", invoked.log)
            report = invoked.log.rstrip("\n").rpartition("\n")[2]
            assert "Init Duration" not in report
            duration = re.search(r"\tDuration: (\d+)", report)
            assert duration
            assert int(duration[1]) >= 1500
            value, _ = await bench.invoke(runtime, bench.version(source, timeout=1))
            assert value["errorType"] == "Sandbox.Timedout"

    asyncio.run(scenario())


def test_chatty_function_keeps_its_output_file_small(bench: Any) -> None:
    source = """
        def handler(event, context):
            for number in range(event):
                print("x" * 1_000_000, flush=True)
        """

    async def scenario() -> None:
        async with bench.running() as runtime:
            version = bench.version(source)
            _, invoked = await bench.invoke(runtime, version, 40)
            assert len(invoked.log) > 60_000
            _, invoked = await bench.invoke(runtime, version, 0)
            assert "x" not in invoked.log.partition("RequestId")[0]
            output = next(bench.folder.glob("state-*/runtime/depth-0/sandboxes/*/output"))
            if sys.platform == "linux":
                assert output.stat().st_blocks * 512 < 4_000_000

    asyncio.run(scenario())


@pytest.mark.parametrize("isolation", ["auto", "none"])
def test_close_leaves_no_process_and_no_file(bench: Any, isolation: str) -> None:
    marker = f"marker-{os.urandom(6).hex()}"
    source = f"""
        import subprocess, sys
        def handler(event, context):
            sleep = [sys.executable, "-c", "import time; time.sleep(300)", "{marker}"]
            subprocess.Popen(sleep)
            subprocess.Popen(sleep, start_new_session=True)
        """

    async def scenario() -> None:
        async with bench.running(isolation=isolation) as runtime:
            await bench.invoke(runtime, bench.version(source))
            assert len(with_marker(marker)) == 2

    asyncio.run(scenario())
    wait_until(lambda: not with_marker(marker))
    assert [list(state.iterdir()) for state in bench.folder.glob("state-*")] == [[]]


SERVER = """
import asyncio, sys
sys.path[:0] = {path!r}
from pathlib import Path
from sandbox_help import Bench
async def main():
    bench = Bench(Path({folder!r}))
    runtime = bench.runtime(isolation={isolation!r})
    value, _ = await bench.invoke(runtime, bench.version({source!r}), {event!r})
    print(value, bool(runtime.note), flush=True)
    await asyncio.sleep({stay})
    await runtime.close()
asyncio.run(main())
"""


def server(bench: Any, source: str, isolation: str = "auto", event: object = None, stay: int = 0) -> str:
    path = [str(Path(__file__).parent), *sys.path]
    folder = str(bench.folder)
    return SERVER.format(path=path, folder=folder, isolation=isolation, source=source, event=event, stay=stay)


@pytest.mark.parametrize("isolation", ["auto", "none"])
def test_nothing_survives_the_server_s_sudden_death(bench: Any, isolation: str) -> None:
    marker = f"marker-{os.urandom(6).hex()}"
    source = f"""
        import subprocess, sys
        sleep = [sys.executable, "-c", "import time; time.sleep(300)", "{marker}"]
        subprocess.Popen(sleep)
        subprocess.Popen(sleep, start_new_session=True)
        def handler(event, context): return "up"
        """
    command = [sys.executable, "-c", server(bench, source, isolation, stay=300)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert process.stdout.readline().startswith("up")
        family = psutil.Process(process.pid).children(recursive=True)
        assert len(family) >= 4
        assert len([pid for pid in with_marker(marker) if pid != process.pid]) == 2
        process.send_signal(signal.SIGKILL)
    wait_until(lambda: not any(member.is_running() for member in family) and not with_marker(marker))


@pytest.mark.skipif(sys.platform != "linux" or os.geteuid() != 0, reason="only root can become another user")
def test_an_ordinary_user_gets_the_same_isolation(bench: Any) -> None:
    source = """
        import os
        def handler(event, context):
            return [os.getuid(), __file__, os.path.exists("/home"), sorted(os.listdir("/tmp"))]
        """
    with tempfile.TemporaryDirectory() as name:
        bench.folder = Path(name)
        program = bench.folder / "server.py"
        program.write_text(server(bench, textwrap.dedent(source)))
        shutil.chown(bench.folder, NOBODY)
        script = f"{opened_folders(bench.folder)}exec su nobody -s /bin/sh -c '{sys.executable} {program}'"
        command = ["unshare", "--mount", "/bin/sh", "-ec", script]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, cwd="/")
    assert done.returncode == 0, done.stderr
    assert done.stdout == "[993, '/var/task/app.py', False, []] False\n"


def opened_folders(scratch: Path) -> str:
    """Shell commands that make what this test needs reachable for other users, in a mount namespace of its own."""
    package = Path(lithops_magic.__file__).parent
    needed = {Path(sys.base_prefix).resolve(), Path(sys.prefix).resolve(), package, Path(__file__).parent}
    closed = {path: [up for up in path.parents if not up.stat().st_mode & stat.S_IXOTH] for path in needed}
    hidden = sorted(path for path in needed if closed[path])
    stages = [(path, scratch / f"stage-{number}") for number, path in enumerate(hidden)]
    lines = [f"mkdir {stage}; mount --bind {path} {stage}" for path, stage in stages]
    lines += [f"mount -t tmpfs -o mode=755 none {top}" for top in {closed[path][-1] for path in hidden}]
    lines += [f"mkdir -p {path}; mount --bind {stage} {path}" for path, stage in stages]
    return "".join(f"{line}\n" for line in lines)


class Registry:
    """One function, as Invoke sees the real registry."""

    def __init__(self, version: RunnableVersion, retries: int = 2, reserved: int | None = None) -> None:
        self.version = version
        self.retries = retries
        self.reserved = reserved

    def resolve(self, name_or_arn: str, qualifier: str | None = None) -> RunnableVersion:
        return self.version

    def reserved_concurrency(self, name: str) -> int | None:
        return self.reserved

    def event_invoke(self, name: str, qualifier: str | None = None) -> tuple[int, int]:
        return self.retries, 21_600

    def recursive_loop(self, name: str) -> str:
        return "Terminate"


def request(payload: object) -> Request:
    return Request("POST", "/2015-03-31/functions/f/invocations", {}, {}, json.dumps(payload).encode())


@pytest.mark.parametrize(("retries", "attempts"), [(2, 3), (1, 2), (0, 1)])
def test_failed_events_are_tried_again(bench: Any, retries: int, attempts: int) -> None:
    source = """
        def handler(event, context):
            print("attempt", context.aws_request_id)
            raise ValueError
        """
    journal = Journal()

    async def scenario() -> str:
        async with bench.running(logs=journal) as runtime:
            registry = Registry(bench.version(source), retries)
            invoker = Invoker(registry, runtime, concurrency=10, retry_delays=(0.05, 0.1))
            answer = await invoker.invoke(request({}), {"FunctionName": "f", "InvocationType": "Event"})
            assert (answer.status, answer.body) == (202, b"")
            while journal.text.count("REPORT") < attempts:
                await asyncio.sleep(0.02)
            await asyncio.sleep(0.4)
            await invoker.close()
            return answer.headers["x-amzn-RequestId"]

    request_id = asyncio.run(scenario())
    assert journal.text.count(f"attempt {request_id}\n") == attempts


def test_event_succeeds_at_a_later_attempt(bench: Any) -> None:
    source = """
        COUNT = []
        def handler(event, context):
            COUNT.append(1)
            if len(COUNT) < 2: raise ValueError
            print("done")
        """
    journal = Journal()

    async def scenario() -> None:
        async with bench.running(logs=journal) as runtime:
            invoker = Invoker(Registry(bench.version(source)), runtime, concurrency=10, retry_delays=(0.05,))
            await invoker.invoke(request({}), {"FunctionName": "f", "InvocationType": "Event"})
            while "done" not in journal.text:
                await asyncio.sleep(0.02)
            await asyncio.sleep(0.3)
            await invoker.close()

    asyncio.run(scenario())
    assert journal.text.count("REPORT") == 2


def test_account_concurrency_throttles(bench: Any) -> None:
    async def scenario() -> None:
        async with bench.running() as runtime:
            invoker = Invoker(Registry(bench.version(COUNT)), runtime, concurrency=1, retry_delays=(60.0,))
            call = {"FunctionName": "f"}
            first = asyncio.create_task(invoker.invoke(request(0.5), call))
            await asyncio.sleep(0.1)
            with pytest.raises(ServiceError) as caught:
                await invoker.invoke(request(0), call)
            assert caught.value.code == "TooManyRequestsException"
            assert caught.value.status == 429
            assert caught.value.members == {"Type": "User", "Reason": "ConcurrentInvocationLimitExceeded"}
            assert "Retry-After" in caught.value.headers
            assert (await first).status == 200
            assert (await invoker.invoke(request(0), call)).status == 200

    asyncio.run(scenario())


def test_throttled_events_wait_for_room(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lithops_magic.local.control.event_queue.THROTTLE_DELAYS", (0.02, 0.1))
    journal = Journal()

    async def scenario() -> None:
        async with bench.running(logs=journal) as runtime:
            registry = Registry(bench.version(COUNT), retries=0, reserved=0)
            invoker = Invoker(registry, runtime, concurrency=10, retry_delays=(60.0,))
            await invoker.invoke(request(0), {"FunctionName": "f", "InvocationType": "Event"})
            await asyncio.sleep(0.2)
            assert journal.text == ""
            registry.reserved = 1
            while "REPORT" not in journal.text:
                await asyncio.sleep(0.02)
            await invoker.close()

    asyncio.run(scenario())


def test_another_user_of_the_machine_cannot_ask_for_events(bench: Any) -> None:
    if sys.platform != "linux" or os.geteuid() != 0:
        pytest.skip("only root can act as another user")
    source = """
        import os
        def handler(event, context): return os.environ["AWS_LAMBDA_RUNTIME_API"]
        """

    async def scenario() -> None:
        async with bench.running() as runtime:
            version = bench.version(source)
            address, _ = await bench.invoke(runtime, version)
            host, _, port = address.partition(":")
            path = "/2018-06-01/runtime/invocation/next"
            thief = f"""if True:
                import os, socket
                socket.getaddrinfo("127.0.0.1", 1)
                os.setuid(65534)
                s = socket.create_connection(({host!r}, {port}))
                s.sendall(b"GET {path} HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n")
                try: print(s.recv(100))
                except ConnectionResetError: print(b"")"""
            stolen = await asyncio.create_subprocess_exec(sys.executable, "-c", thief, stdout=subprocess.PIPE)
            output, _ = await stolen.communicate()
            assert output == b"b''\n"
            assert (await bench.invoke(runtime, version))[0] == address

    asyncio.run(scenario())
