"""What a function sees: Lambda's files and variables, and nothing of the machine it really runs on."""

from __future__ import annotations

import errno
import os
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from lithops_magic.local.sandbox.pip_settings import pip_conf

MINOR = f"{sys.version_info.major}.{sys.version_info.minor}"
AWS_VARIABLES = [
    "AWS_ACCESS_KEY_ID",
    "AWS_ALLOW_HTTP",
    "AWS_DEFAULT_REGION",
    "AWS_ENDPOINT_URL",
    "AWS_EXECUTION_ENV",
    "AWS_LAMBDA_FUNCTION_MEMORY_SIZE",
    "AWS_LAMBDA_FUNCTION_NAME",
    "AWS_LAMBDA_FUNCTION_VERSION",
    "AWS_LAMBDA_INITIALIZATION_TYPE",
    "AWS_LAMBDA_LOG_GROUP_NAME",
    "AWS_LAMBDA_LOG_STREAM_NAME",
    "AWS_LAMBDA_RUNTIME_API",
    "AWS_REGION",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_XRAY_CONTEXT_MISSING",
    "AWS_XRAY_DAEMON_ADDRESS",
    "LAMBDA_RUNTIME_DIR",
    "LAMBDA_TASK_ROOT",
    "LANG",
    "LD_LIBRARY_PATH",
    "PATH",
    "PWD",
    "PYTHONPATH",
    "SHLVL",
    "TZ",
    "_AWS_XRAY_DAEMON_ADDRESS",
    "_AWS_XRAY_DAEMON_PORT",
    "_HANDLER",
    "_X_AMZN_TRACE_ID",
]


@pytest.fixture
def namespaces(local_aws: Any, deploy: Any) -> None:
    seen = deploy("import os\ndef handler(event, context): return os.environ['LAMBDA_TASK_ROOT']")().value
    if seen != "/var/task":
        if os.environ.get("CI"):
            pytest.fail("CI must be able to create namespaces")
        pytest.skip("this machine forbids namespaces to ordinary users")


def evaluate(deploy: Any, **configuration: Any) -> Any:
    """A function that evaluates what it is sent."""
    source = "import os, sys\ndef handler(event, context): return eval(event)"
    function = deploy(source, **configuration)
    return lambda text: function(text).value


def test_environment_is_lambda_s_and_the_function_s_own(deploy: Any, local_aws: Any, namespaces: None) -> None:
    look = evaluate(deploy, Environment={"Variables": {"MINE": "ä b", "PYTHONWARNINGS": "ignore"}}, MemorySize=300)
    found = look("dict(os.environ)")
    assert set(found) - {"LC_CTYPE"} == {*AWS_VARIABLES, "MINE", "PYTHONWARNINGS"}
    assert found["MINE"] == "ä b"
    assert found["AWS_LAMBDA_FUNCTION_MEMORY_SIZE"] == "300"
    assert found["AWS_EXECUTION_ENV"] == f"AWS_Lambda_python{MINOR}"
    assert (found["LAMBDA_TASK_ROOT"], found["LAMBDA_RUNTIME_DIR"]) == ("/var/task", "/var/runtime")
    assert (found["TZ"], found["LANG"], found["_HANDLER"]) == (":UTC", "en_US.UTF-8", "app.handler")
    assert found["AWS_ENDPOINT_URL"] == local_aws.endpoint_url
    assert found["AWS_ACCESS_KEY_ID"].startswith("ASIA")
    assert local_aws.secret_access_key not in found.values()


def test_import_path_is_lambda_s(deploy: Any, namespaces: None) -> None:
    path = evaluate(deploy)("sys.path")
    assert path[:4] == ["/var/task", f"/opt/python/lib/python{MINOR}/site-packages", "/opt/python", "/var/runtime"]
    assert all(folder.startswith("/var/lang/lib/python") for folder in path[4:])


def test_only_the_runtime_s_packages_can_be_imported(deploy: Any) -> None:
    look = evaluate(deploy)
    names = ("boto3", "simplejson", "awslambdaric", "numpy", "pytest", "moto", "pip", "lithops_magic")
    found = look(f"[n for n in {names} if __import__('importlib.util').util.find_spec(n)]")
    assert [name for name in found if name != "pip"] == ["boto3", "simplejson", "awslambdaric"]
    plain = (
        "import importlib.util; print(bool(importlib.util.find_spec('pytest') or importlib.util.find_spec('numpy')))"
    )
    assert look(f"__import__('subprocess').check_output([sys.executable, '-c', {plain!r}], text=True)") == "False\n"


def test_pip_comes_with_the_interpreter(deploy: Any, namespaces: None) -> None:
    answer = evaluate(deploy)(
        "__import__('subprocess').check_output([sys.executable, '-m', 'pip', '--version'], text=True)"
    )
    assert answer.startswith("pip ")
    assert "/var/lang/lib/python" in answer


def test_pip_reaches_the_index_of_this_machine(tmp_path: Path) -> None:
    file = tmp_path / "pip.conf"
    file.write_text("[global]\nindex-url = https://a.example/simple\ntrusted-host = a.example\nno-cache-dir = true\n")
    environment = {
        "HOME": str(tmp_path),
        "PIP_CONFIG_FILE": str(file),
        "PIP_EXTRA_INDEX_URL": "https://me:secret@b.example file:///srv/wheels https://c.example",
        "PIP_CERT": "/etc/ssl/mine.pem",
    }
    settings = set(pip_conf(environment).splitlines())
    assert "secret" not in str(settings)
    assert settings == {
        "[global]",
        "index-url = https://a.example/simple",
        "extra-index-url = https://c.example",
        "trusted-host = a.example",
        "cert = /etc/ssl/mine.pem",
    }


def test_host_files_are_out_of_reach(deploy: Any, tmp_path: Any, namespaces: None) -> None:
    secret = tmp_path / "secret"
    secret.write_text("s")
    look = evaluate(deploy)
    assert look(f"os.path.exists({str(secret)!r})") is False
    assert look(f"os.path.exists({__file__!r})") is False
    assert (
        look("[p for p in ('/home', '/root', '/work', '/sys', '/run', '/dev/shm', '/etc/shadow') if os.path.exists(p)]")
        == []
    )
    assert look("sorted(os.listdir('/'))") == sorted(
        {"bin", "dev", "etc", "opt", "proc", "tmp", "usr", "var"}
        | {name for name in ("sbin", "lib", "lib32", "lib64", "libx32") if os.path.lexists(f"/{name}")}
    )


def test_processes_of_the_host_are_invisible(deploy: Any, namespaces: None) -> None:
    pids = evaluate(deploy)("[int(name) for name in os.listdir('/proc') if name.isdigit()]")
    assert max(pids) < 20


def test_everything_but_tmp_is_read_only(deploy: Any, namespaces: None) -> None:
    function = deploy(
        """
        import os
        def handler(event, context):
            written = []
            for folder in ("/", "/var/task", "/opt", "/var/runtime", "/var/lang", "/usr", "/etc", "/dev", "/tmp"):
                try:
                    open(folder + "/new", "w").close()
                    written.append(folder)
                except OSError:
                    pass
            return written
        """
    )
    # A device folder of its own, gone with the sandbox.
    assert set(function().value) - {"/dev"} == {"/tmp"}


def test_the_isolation_cannot_be_undone(deploy: Any, namespaces: None) -> None:
    function = deploy(
        """
        import ctypes, os
        libc = ctypes.CDLL(None, use_errno=True)
        def handler(event, context):
            caps = [line.split()[1] for line in open("/proc/self/status") if line.startswith(("CapEff", "CapPrm"))]
            tries = {
                "umount": libc.umount2(b"/var/task", 2),
                "remount": libc.mount(b"none", b"/var/task", None, 32 | 4096, None),
                "chroot": libc.chroot(b"/tmp"),
            }
            if event == "nested" and libc.unshare(0x10000000 | 0x00020000) == 0:
                tries["unmask"] = libc.umount2(b"/var/task", 2)
                tries["rewrite"] = libc.mount(b"none", b"/var/task", None, 32 | 4096, None)
            return [caps, tries]
        """
    )
    for event in ("plain", "nested"):
        capabilities, tries = function(event).value
        assert {int(value, 16) for value in capabilities} == {0}
        assert set(tries.values()) == {-1}


def test_tmp_is_private_and_survives_warm_calls(deploy: Any) -> None:
    source = """
        import os, tempfile
        def handler(event, context):
            folder = tempfile.gettempdir()
            before = sorted(os.listdir(folder))
            open(os.path.join(folder, event), "w").close()
            return before
        """
    function, other = deploy(source), deploy(source)
    assert function("a").value == []
    assert function("b").value == ["a"]
    assert other("c").value == []
    function.client.update_function_configuration(FunctionName=function.name, MemorySize=200)
    assert function("d").value == []


def test_multiprocessing_lacks_shared_memory_as_in_lambda(deploy: Any, namespaces: None) -> None:
    answer = deploy("import multiprocessing\ndef handler(event, context): multiprocessing.Queue()")()
    assert answer.value["errorType"] in ("OSError", "FileNotFoundError")


def test_limits_and_identity(deploy: Any) -> None:
    look = evaluate(deploy)
    limits = "[list(resource.getrlimit(kind)) for kind in (resource.RLIMIT_NOFILE, resource.RLIMIT_MEMLOCK)]"
    assert look(f"[{limits} for resource in [__import__('resource')]][0]") == [[1024, 1024], [65536, 65536]]
    assert look("__import__('time').tzname[0]") == "UTC"
    assert look("'ü'.encode(sys.stdout.encoding).hex()") == "c3bc"
    assert look("[exit.__class__.__name__, sys.flags.dont_write_bytecode]")[0] == "Quitter"


def test_name_of_the_user(deploy: Any, namespaces: None) -> None:
    assert evaluate(deploy)("[os.getuid(), __import__('getpass').getuser()]") == [993, "sbx_user1051"]


def layer(client: Any, files: dict[str, str]) -> str:
    import io
    import zipfile

    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    name = f"layer-{os.urandom(4).hex()}"
    arn: str = client.publish_layer_version(LayerName=name, Content={"ZipFile": sink.getvalue()})["LayerVersionArn"]
    return arn


def test_layers_are_merged_in_order(deploy: Any, lambda_client: Any) -> None:
    versioned = f"python/lib/python{MINOR}/site-packages"
    first = layer(lambda_client, {"python/one.py": "n = 1", "python/both.py": "n = 1", "data/first.txt": "f"})
    second = layer(
        lambda_client, {"python/both.py": "n = 2", f"{versioned}/deep.py": "n = 3", "python/app.py": "n = 4"}
    )
    function = deploy(
        """
        import both, deep, one, os
        def handler(event, context):
            opt = os.path.dirname(os.path.dirname(one.__file__))
            return [one.n, both.n, deep.n, os.path.exists(opt + "/data/first.txt")]
        """,
        Layers=[first, second],
    )
    assert function().value == [1, 2, 3, True]
    function.client.update_function_configuration(FunctionName=function.name, Layers=[second, first])
    assert function().value == [1, 1, 3, True]
    function.client.update_function_configuration(FunctionName=function.name, Layers=[first])
    assert function().value["errorType"] == "Runtime.ImportModuleError"


def test_boto3_reaches_the_local_aws(deploy: Any, local_aws: Any) -> None:
    bucket = f"seen-{os.urandom(4).hex()}"
    local_aws.client("s3").create_bucket(Bucket=bucket)
    function = deploy(
        """
        import boto3
        def handler(event, context):
            boto3.client("s3").put_object(Bucket=event, Key="k", Body=b"from the function")
            return boto3.client("sts").get_caller_identity()["Account"]
        """
    )
    assert function(bucket).value == local_aws.account_id
    assert local_aws.client("s3").get_object(Bucket=bucket, Key="k")["Body"].read() == b"from the function"


def test_number_of_processes_is_limited(deploy: Any, namespaces: None) -> None:
    if tuple(map(int, os.uname().release.split(".")[:2])) < (5, 14):
        pytest.skip("this kernel counts all processes of a user")
    assert evaluate(deploy)("__import__('resource').getrlimit(__import__('resource').RLIMIT_NPROC)") == [1024, 1024]


IDENTITY = """
    import boto3
    def handler(event, context):
        client = boto3.client("sts")
        return [client.get_caller_identity()["Arn"], boto3.Session().get_credentials().access_key]
    """


def test_functions_are_sessions_of_their_role(deploy: Any, local_aws: Any, role_arn: str) -> None:
    first, second = deploy(IDENTITY), deploy(IDENTITY)
    role = role_arn.rpartition("/")[2]
    answers = [function().value for function in (first, second)]
    expected = [f"arn:aws:sts::{local_aws.account_id}:assumed-role/{role}/{each.name}" for each in (first, second)]
    assert [arn for arn, _ in answers] == expected
    assert len({key for _, key in answers}) == 2


def test_tmp_holds_what_was_paid_for(deploy: Any, namespaces: None) -> None:
    function = deploy(
        """
        import os
        def handler(event, context):
            try:
                with open("/tmp/filled", "wb") as file:
                    os.posix_fallocate(file.fileno(), 0, event << 20)
            except OSError as error:
                return error.errno
            finally:
                os.unlink("/tmp/filled")
        """,
        EphemeralStorage={"Size": 520},
    )
    assert function(500).value is None
    assert function(530).value == errno.ENOSPC


def test_tmp_outlives_the_process(deploy: Any) -> None:
    function = deploy(
        """
        import os, tempfile
        def handler(event, context):
            folder = tempfile.gettempdir()
            if event == "look":
                found = [os.path.join(root, name)[len(folder):] for root, _, names in os.walk(folder) for name in names]
                return [sorted(found), open(folder + "/a/b/file").read(), os.readlink(folder + "/link")]
            os.makedirs(folder + "/a/b")
            with open(folder + "/a/b/file", "w") as file: file.write("kept")
            os.symlink("a/b/file", folder + "/link")
            os.mkfifo(folder + "/pipe")
            os._exit(3)
        """
    )
    assert function("write").error == "Unhandled"
    found, text, link = function("look").value
    assert {"/a/b/file", "/link"} <= set(found)
    assert (text, link) == ("kept", "a/b/file")


def test_what_is_left_running_stops_between_invocations(deploy: Any) -> None:
    function = deploy(
        """
        import subprocess, sys, threading, time
        count = 0
        def work():
            global count
            while True:
                time.sleep(0.01)
                count += 1
        threading.Thread(target=work, daemon=True).start()
        counting = "import time\\nfor i in range(10**9): print(i, flush=True); time.sleep(0.01)"
        child = subprocess.Popen([sys.executable, "-c", counting], stdout=subprocess.PIPE)
        def lines():
            global printed
            for line in child.stdout: printed = int(line)
        printed = 0
        threading.Thread(target=lines, daemon=True).start()
        def handler(event, context):
            before = count, printed
            end = time.time() + event
            while time.time() < end or not (count and printed): time.sleep(0.01)
            return [*before, count, printed]
        """
    )
    *_, count, printed = function(1).value
    assert min(count, printed) > 0
    time.sleep(3)
    later_count, later_printed, *_ = function(0).value
    # Running on, it would have counted some hundred. Before it is stopped, the reply is read: slowly, if busy.
    assert later_count - count < 100
    assert later_printed - printed < 100
    *_, last, _ = function(1).value
    assert last > later_count


def wrapped(deploy: Any, lambda_client: Any, script: str | None, mode: int = 0o755) -> Any:
    import io
    import zipfile

    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w") as archive:
        info = zipfile.ZipInfo("wrapper")
        info.external_attr = (0o100000 | mode) << 16
        archive.writestr(info, script or "")
    made = lambda_client.publish_layer_version(
        LayerName=f"wrapper-{os.urandom(4).hex()}", Content={"ZipFile": sink.getvalue()}
    )
    source = "import os\ndef handler(event, context): return [os.environ.get('SET'), os.environ['SHLVL']]"
    path = "/opt/wrapper" if script is not None else "/opt/absent"
    variables = {"AWS_LAMBDA_EXEC_WRAPPER": path}
    return deploy(source, Layers=[made["LayerVersionArn"]], Environment={"Variables": variables})


def test_wrapper_starts_the_runtime(deploy: Any, lambda_client: Any, namespaces: None) -> None:
    function = wrapped(deploy, lambda_client, '#!/bin/sh\nexport SET="by the wrapper"\nexec "$@"\n')
    assert function().value[0] == "by the wrapper"


@pytest.mark.parametrize(
    ("script", "mode", "status", "said"),
    [
        (None, 0o755, 127, "/opt/absent: does not exist"),
        ("#!/bin/sh\n", 0o644, 126, "/opt/wrapper: is not an executable"),
    ],
)
def test_wrapper_that_cannot_run(
    deploy: Any, lambda_client: Any, namespaces: None, script: str | None, mode: int, status: int, said: str
) -> None:
    answer = wrapped(deploy, lambda_client, script, mode)()
    assert answer.error == "Unhandled"
    assert f"exit status {status}" in answer.value["errorMessage"]
    assert said in answer.log
