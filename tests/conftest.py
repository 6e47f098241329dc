"""Fixtures of all areas: one local AWS per session; no test sees the user's own configuration."""

from __future__ import annotations

import compileall
import gc
import getpass
import itertools
import json
import os
import platform
import random
import signal
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest
from filelock import FileLock
from hypothesis import HealthCheck, settings

from lithops_magic.local.front.quick_start import parse_models_once
from localaws import FOREIGN, LocalAws, local_command
from thorough import share

SAM = "1.170.0"
"""Version of the SAM CLI whose wheel holds AWS's emulator."""

FORBIDS_BYTECODE = sys.dont_write_bytecode
# Without bytecode, as in many containers, every process would rewrite the asserts of all tests again.
sys.dont_write_bytecode = False
# Its import compiles grammars for a second; jsonschema, which Jupyter needs, does without it.
sys.modules["rfc3987_syntax"] = None  # type: ignore[assignment]

SLOW_AREAS = {"browser", "faults", "local_control", "local_sandbox", "local_server"}
SLOW_FILES = {
    "test_aws_invoke.py",
    "test_aws_session.py",
    "test_aws_transport.py",
    "test_captures_travel.py",
    "test_config_lithops.py",
    "test_demo.py",
    "test_engine_outage.py",
    "test_engine_policy.py",
    "test_extension.py",
    "test_functions_travel.py",
    "test_kernel.py",
    "test_packages_bad_input.py",
    "test_packages_files.py",
    "test_packages_hashes.py",
    "test_packages_image.py",
    "test_packages_index.py",
    "test_packages_installed.py",
    "test_packages_optional.py",
    "test_packages_pieces.py",
    "test_packages_places.py",
    "test_packages_requirements.py",
    "test_packages_versions.py",
    "test_plots.py",
    "test_run.py",
    "test_verify.py",
    "test_worker_handler.py",
    "test_worker_rie.py",
    "test_worker_store.py",
}
"""What takes seconds, fetches packages, or starts a server, kernel, sandbox or browser, like all with `local_aws`."""
LONG_FILES = {
    "test_fault_storm.py",
    "test_jupyterlab.py",
    "test_packages_map.py",
    "test_packages_optional.py",
    "test_server_lifecycle.py",
    "test_server_lithops.py",
    "test_server_persistence.py",
    "test_verify.py",
}
"""Started first: if one of them started last, the other processes would be idle while it runs."""


MEASURED_AREAS = {"local_control", "local_sandbox", "local_server", "test_cli.py", "worker"}
"""Coverage is measured in the child processes of these tests only, because it doubles their CPU time."""
COVERAGE = "COVERAGE_PROCESS_CONFIG"
_coverage: dict[str, str] = {}


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--shuffle", type=int, metavar="SEED", help="run the files, and the tests of each, in another order"
    )


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """The fast tier computes, the others wait for servers as well, but more than four local AWSs are too many."""
    return min(os.cpu_count() or 1, 4) if config.getoption("markexpr") == "fast" else 4


def pytest_configure(config: pytest.Config) -> None:
    """Compile the package once, and not in each of the hundreds of processes that import it; prepare this process."""
    # Shells make background jobs ignore SIGINT, which the programs that tests interrupt would inherit.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if config.getoption("markexpr") == "fast":
        os.environ.setdefault("QUICK", "1")
    # How long an example takes says nothing on a busy machine.
    settings.register_profile(
        "ours", max_examples=share(40, 300), deadline=None, suppress_health_check=[HealthCheck.too_slow]
    )
    settings.load_profile("ours")
    if not hasattr(config, "workerinput"):
        compileall.compile_dir(Path(__file__).parents[1] / "lithops_magic", quiet=2)


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Keep the fast tier from importing tests it does not run: it works without JupyterLab, moto and Playwright."""
    is_slow = collection_path.name in SLOW_AREAS | SLOW_FILES
    return True if config.getoption("markexpr") == "fast" and is_slow else None


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Import the tests without garbage collection: importing makes no garbage."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()


def pytest_collection_modifyitems(items: list[pytest.Item], config: pytest.Config) -> None:
    """Mark what needs no AWS as fast; the longest files go first."""
    items.sort(key=lambda item: item.path.name not in LONG_FILES)
    if (seed := config.getoption("shuffle")) is not None:
        chance = random.Random(seed)
        places = {path: chance.random() for path in dict.fromkeys(item.path for item in items)}
        items.sort(key=lambda item: (places[item.path], chance.random()))
    for item in items:
        names = {*item.path.parts}
        is_slow = names & (SLOW_AREAS | SLOW_FILES)
        if not is_slow and "local_aws" not in getattr(item, "fixturenames", ()):
            item.add_marker("fast")


def pytest_collection_finish() -> None:
    """Exempt what was imported so far from garbage collection, which IPython's tests often trigger."""
    # Tests write modules that change within the second in which they are compiled.
    sys.dont_write_bytecode = FORBIDS_BYTECODE
    gc.collect()
    gc.freeze()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Choose whether coverage is measured in a test's child processes, before any of its fixtures starts one."""
    if COVERAGE in os.environ:
        _coverage[COVERAGE] = os.environ.pop(COVERAGE)
    if MEASURED_AREAS & {*item.path.parts}:
        os.environ.update(_coverage)


@pytest.fixture(scope="session", autouse=True)
def models_parsed_once() -> None:
    """Parse each of botocore's service models once; it does so once for every session, 0.1 s and more for EC2's."""
    parse_models_once()


def started(folder: Path) -> LocalAws:
    """Start a local AWS with four workers."""
    # AWS keeps 100 concurrent executions unreserved: seven are left to reserve.
    done = local_command(folder, "ensure", "--workers", "4", "--concurrency", "107", "--settle", "0")
    assert done.returncode == 0, done.stderr
    found = LocalAws(**json.loads(done.stdout), folder=folder)
    if found.workers != 4:
        # A test that does not use this fixture has made the library start one.
        local_command(folder, "stop")
        return started(folder)
    return found


@pytest.fixture(scope="session")
def local_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Where this session's local AWS is found; whatever runs there at the end is stopped."""
    folder = tmp_path_factory.mktemp("local-aws")
    yield folder
    local_command(folder, "stop")


@pytest.fixture(scope="session")
def local_aws(local_folder: Path) -> LocalAws:
    """This session's local AWS, which the library finds on its own, too."""
    return started(local_folder)


@pytest.fixture(scope="session")
def measured_aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalAws]:
    """A separate one for the tests of the local AWS itself: coverage is measured in it."""
    folder = tmp_path_factory.mktemp("measured-aws")
    yield started(folder)
    local_command(folder, "stop")


@pytest.fixture(scope="session")
def package_cache(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Path:
    """The cache of packages for Lambda; what uv downloads is shared by all sessions."""
    folder = tmp_path_factory.mktemp("packages")
    base = tmp_path_factory.getbasetemp()
    # Shared by the processes that run tests, so that each package is compiled and zipped once.
    layers = (base.parent if hasattr(request.config, "workerinput") else base) / "layers"
    layers.mkdir(mode=0o700, exist_ok=True)
    (folder / "layers").symlink_to(layers)
    downloads = Path(tempfile.gettempdir()) / f"lithops-magic-uv-{getpass.getuser()}"
    downloads.mkdir(mode=0o700, exist_ok=True)
    (folder / "uv").symlink_to(downloads)
    return folder


@pytest.fixture(scope="session")
def variables(local_folder: Path, package_cache: Path) -> dict[str, str]:
    """The environment variables that select this session's local AWS and caches."""
    return {
        "AWS_EC2_METADATA_DISABLED": "true",
        "LITHOPS_MAGIC_LOCAL_DIR": str(local_folder),
        "LITHOPS_MAGIC_CACHE_DIR": str(package_cache),
        "UV_CACHE_DIR": str(package_cache / "uv"),
        # In an empty home, matplotlib would index all fonts of the machine again.
        "MPLCONFIGDIR": str(Path(tempfile.gettempdir()) / f"lithops-magic-fonts-{getpass.getuser()}"),
    }


@pytest.fixture(autouse=True)
def no_job_process() -> Iterator[None]:
    """End the process that a handler called by the test has forked and kept: it has inherited all open sockets."""
    yield
    if job := sys.modules.get("lithops_magic.worker.job"):
        job.end_process()


@pytest.fixture(scope="session")
def homes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Homes, one for each test: `mktemp` would look through the folders of all tests before for a free name."""
    folder = tmp_path_factory.mktemp("homes")
    return (folder / str(number) for number in itertools.count())


@pytest.fixture(scope="session", autouse=True)
def led(variables: dict[str, str]) -> Iterator[None]:
    """Lead the fixtures of whole files there as well: what they start begins before any test is isolated."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in variables.items():
            patch.setenv(name, value)
        yield


@pytest.fixture(autouse=True)
def isolated(variables: dict[str, str], homes: Iterator[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """Hide the user's home and AWS, Lithops and Jupyter settings, and make `ensure` find this session's local AWS."""
    for name in os.environ:
        if name.startswith(FOREIGN):
            monkeypatch.delenv(name)
    home = next(homes)
    home.mkdir(mode=0o700)
    for name, value in {"HOME": str(home), "USERPROFILE": str(home), **variables}.items():
        monkeypatch.setenv(name, value)
    # On a loaded machine, finding the local AWS may take a second; no test expects the note that announces its start.
    monkeypatch.setattr("lithops_magic.aws.local_server.ANNOUNCE_AFTER", 60.0)


@pytest.fixture(scope="session")
def emulator() -> Path:
    """AWS's own Runtime Interface Emulator, extracted from the SAM CLI's wheel once and cached."""
    machine = {"x86_64": "x86_64", "aarch64": "arm64"}.get(platform.machine())
    if sys.platform != "linux" or machine is None:
        pytest.skip("AWS builds its emulator for Linux on x86_64 and arm64 only")
    cache = Path(tempfile.gettempdir()) / f"lithops-magic-rie-{SAM}-{os.getuid()}"
    cache.mkdir(mode=0o700, exist_ok=True)
    binary = cache / "rie"
    # Another test process may be fetching it at the same time.
    with FileLock(cache / "lock"):
        if not binary.exists():
            _fetch_emulator(binary, machine)
    return binary


def _fetch_emulator(binary: Path, machine: str) -> None:
    cache = binary.parent
    download = ["pip", "download", "--quiet", "--no-deps", "-d", str(cache), f"aws-sam-cli=={SAM}"]
    done = subprocess.run([sys.executable, "-m", *download], capture_output=True, text=True, timeout=300, check=False)
    if done.returncode != 0:
        pytest.skip(f"the SAM CLI cannot be fetched: {done.stderr.strip()[-300:]}")
    with zipfile.ZipFile(next(cache.glob("aws_sam_cli-*.whl"))) as wheel:
        binary.write_bytes(wheel.read(f"samcli/local/rapid/aws-lambda-rie-{machine}"))
    binary.chmod(0o700)
