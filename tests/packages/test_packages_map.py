"""What a cell uses is there: installed packages in the sandbox of the local AWS, which has none of the notebook's."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import platform
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd  # type: ignore[import-untyped]
import pytest
import yaml

import lithops_magic
from frames import FRAMES, written
from lithops_magic import config
from lithops_magic.engine.dispatch.versions import Versions
from lithops_magic.engine.result.map_result import MapResult
from lithops_magic.engine.wire.reply import WorkerReply
from lithops_magic.errors import RemoteError
from lithops_magic.packages import Request, need_of
from lithops_magic.worker import packing
from localaws import LocalAws
from recording import record_no_job

Run = Callable[..., MapResult]


def test_a_captured_package_is_there(run: Run) -> None:
    def root(x: int) -> tuple[float, str]:
        return float(np.sqrt(x)), np.__file__

    result = run(root, [4, 9])
    assert [value for value, _ in result] == [2.0, 3.0]
    assert all(file.startswith("/opt/python/numpy/") for _, file in result)
    assert result[0][1] != np.__file__


def test_another_version_than_the_notebook_s_is_said_in_one_line(run: Run) -> None:
    def version(_: int) -> str:
        return np.__version__

    result = run(version)
    notes = result.snapshot().notes
    if result[0] == np.__version__:
        assert notes == ()
    else:
        assert len(notes) == 1
        assert f"numpy {np.__version__}" in notes[0]
        assert f"tasks get numpy {result[0]}" in notes[0]
        assert notes[0][:60] in repr(result)


def test_a_second_run_only_looks(run: Run, local_aws: LocalAws, monkeypatch: pytest.MonkeyPatch) -> None:
    record_no_job(monkeypatch)

    def total(x: int) -> int:
        return int(np.arange(x).sum())

    # On a busy machine, a task may take so long that its result would be kept in S3.
    assert run(total, [3], keep_after=600).values() == [3]
    before = local_aws.requests()
    assert run(total, [4], keep_after=600).values() == [6]
    after = local_aws.requests()
    changed = {name for name, count in after.items() if count != before.get(name, 0)}
    assert changed == {"lambda:Invoke"}


def test_what_items_are_made_of_is_there(run: Run) -> None:
    def mean(array: object) -> float:
        return float(array.mean())  # type: ignore[attr-defined]

    assert run(mean, [np.array([1.0, 3.0]), np.array([5.0])]).values() == [2.0, 5.0]
    assert run(lambda number: type(number).__module__, np.arange(2)).values() == ["numpy", "numpy"]


def test_exceptions_are_items_though_lithops_has_tblib_pickle_them(local_aws: LocalAws) -> None:
    program = """
import copyreg, lithops, lithops_magic
assert copyreg.dispatch_table[ValueError].__module__.startswith("tblib")
def names(error):
    import sys
    return repr(error), "tblib" in sys.modules
captured = KeyError("c")
print(lithops_magic.map(names, (error for error in [ValueError("a"), OSError(2, "b")])).values())
print(lithops_magic.map(lambda error: names(captured), [ExceptionGroup("d", [ValueError("e")])]).values())
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    expected = [[("ValueError('a')", False), ("FileNotFoundError(2, 'b')", False)], [("KeyError('c')", False)]]
    assert (done.stdout.splitlines(), done.returncode) == ([str(line) for line in expected], 0), done.stderr


def test_an_import_in_the_body_is_seen_under_whatever_name_it_is_installed(run: Run) -> None:
    def picture(size: int) -> tuple[int, int]:
        from PIL import Image

        return Image.new("L", (size, size)).size

    # Of the newest major version there is no build for every runtime.
    assert run(picture, [3], packages="pillow<13").values() == [(3, 3)]


@pytest.mark.usefixtures("installed")
def test_pandas_scikit_learn_pillow_lxml_and_pydantic_are_so_large_that_they_go_through_the_bucket(
    run: Run, local_aws: LocalAws
) -> None:
    def use(x: int) -> list[object]:
        import importlib
        import pkgutil

        import pandas as pd
        import pydantic
        from lxml import etree
        from PIL import Image
        from sklearn.linear_model import LinearRegression

        class Point(pydantic.BaseModel):
            x: int

        # Nothing that was trimmed is missed.
        for module in pkgutil.iter_modules(["/opt/python"]):
            importlib.import_module(module.name)
        slope = LinearRegression().fit([[0], [1], [2]], [0, x, 2 * x]).coef_[0]
        frame = pd.DataFrame({"a": [x, x + 1]})
        return [
            int(frame.a.sum()),
            round(slope),
            Point(x=str(x)).x,
            etree.fromstring("<a><b/></a>")[0].tag,
            Image.new("L", (1, 2)).size,
        ]

    before = local_aws.requests().get("s3:PutObject", 0)
    assert run(use, [2], packages="pillow<13").values() == [[5, 2, 2, "b", (1, 2)]]
    assert local_aws.requests().get("s3:PutObject", 0) > before


@pytest.mark.usefixtures("installed")
def test_polars_runs_without_its_debug_symbols(run: Run) -> None:
    def total(x: int) -> tuple[int, int]:
        import pathlib
        import struct

        import polars

        library = next(pathlib.Path("/opt/python").glob("_polars_runtime*/*.so"))
        sections = struct.unpack("<Q", library.read_bytes()[40:48])[0]
        return polars.Series([x, x]).sum(), sections

    assert run(total, [2]).values() == [(4, 0)]


@pytest.mark.usefixtures("installed")
def test_namespace_packages_and_what_was_built_from_source_are_copied_without_any_index(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert importlib.util.find_spec("jaraco").origin is None

    def call(_: int) -> tuple[int, str, str]:
        import importlib.metadata

        import docopt
        from jaraco.functools import compose

        return (
            compose(abs, int)("-3"),
            docopt.__version__,
            importlib.metadata.version("jaraco.functools"),
        )

    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path))
    monkeypatch.setenv("UV_OFFLINE", "1")
    assert run(call).values() == [(3, "0.6.2", importlib.metadata.version("jaraco.functools"))]


def test_packages_can_be_asked_for(run: Run) -> None:
    def version(_: int) -> tuple[str, bool, str]:
        import importlib.metadata

        import jmespath

        has = hasattr(importlib.import_module("tabul" + "ate"), "tabulate")
        return importlib.metadata.version("markupsafe"), has, jmespath.__version__

    # Lambda has jmespath as a part of boto3; another version is shipped if it is asked for.
    result = run(version, packages="markupsafe==3.0.2 tabulate jmespath==0.10.0")
    assert list(result.succeeded().values()) == [("3.0.2", True, "0.10.0")]
    # An optional part of tabulate is installed here or not.
    assert [note for note in result.snapshot().notes if "wcwidth" not in note] == []


def test_a_requirements_file_can_be_given(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "requirements.txt"
    file.write_text("# what the workers need\nmarkupsafe==3.0.1\nsix\n")

    def version(_: int) -> tuple[str, str]:
        import importlib.metadata

        import six

        return importlib.metadata.version("markupsafe"), six.__file__

    assert run(version, packages=str(file)).values() == [("3.0.1", "/opt/python/six.py")]


def test_a_local_aws_on_another_processor_gets_this_machine_s_builds(run: Run) -> None:
    other = "arm64" if platform.machine() == "x86_64" else "x86_64"

    def root(x: int) -> str:
        return yaml.safe_load("a: b")["a"]

    assert run(root, settings=config.load().replace(architecture=other)).values() == ["b"]


def test_a_system_library_that_lambda_lacks_is_named(run: Run) -> None:
    def load(_: int) -> None:
        import ctypes

        ctypes.CDLL("libnowhere.so.7")

    message = run(load).errors[0].message
    assert "Lambda has no libnowhere.so.7: use a build of the package that bundles it" in message


def test_none_ships_nothing_and_the_task_says_what_it_lacks(run: Run, local_aws: LocalAws) -> None:
    def version(_: int) -> str:
        return np.__version__

    layers = local_aws.requests().get("lambda:PublishLayerVersion", 0)
    error = run(version, packages="none").errors[0]
    assert isinstance(error, RemoteError)
    assert "No module named 'numpy'" in error.message
    assert "--packages" in error.message
    assert local_aws.requests().get("lambda:PublishLayerVersion", 0) == layers


def test_the_runtime_s_own_boto3_is_used(run: Run) -> None:
    def where(_: int) -> str:
        import boto3

        return boto3.__file__

    assert run(where).values() == ["/var/runtime/boto3/__init__.py"]


def test_a_version_in_the_function_that_is_not_the_notebook_s_is_reported(
    run: Run, project: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = project({"vendored-2.0.dist-info/METADATA": "", "vendored.py": "__version__ = '2.0'\n"})
    import vendored

    def version(_: int) -> str:
        return vendored.__version__

    from lithops_magic.aws.session import Cloud
    from lithops_magic.packages.archive import zip_bytes

    settings = config.load()
    data = zip_bytes([("python/vendored.py", b"__version__ = '1.0'\n")])
    client = Cloud.connect(settings).client("lambda")
    arn = client.publish_layer_version(LayerName="users-own", Content={"ZipFile": data})["LayerVersionArn"]
    result = lithops_magic.map(version, [0], packages="none", settings=settings.replace(layers=(arn,)))
    assert list(result.succeeded().values()) == ["1.0"]
    assert any("vendored 1.0, the notebook 2.0" in note for note in result.snapshot().notes), folder
    assert sys.modules["vendored"].__version__ == "2.0"


@pytest.mark.parametrize("asked", [None, "none", "tabulate", "pyyaml", "-r"])
def test_the_remedy_names_the_distribution_unless_its_version_was_asked_for(asked: str | None, tmp_path: Path) -> None:
    (file := tmp_path / "requirements.txt").write_text("pyyaml<6")
    need = need_of({"yaml": "imported"}, Request.parse(str(file) if asked == "-r" else asked))
    versions = Versions(need)
    reply = WorkerReply("sandbox", True, {}, versions={"yaml": "5.0"})
    told = list(versions.differences(reply, ()))
    fix = f"ship the notebook's with --packages pyyaml=={yaml.__version__}, or correct the function's layer or image"
    line = f"the function has yaml 5.0, the notebook {yaml.__version__}: {fix}"
    assert told == ([] if asked in ("pyyaml", "-r") else [line])
    assert list(versions.differences(reply, ())) == []
    difference = f"yaml here {yaml.__version__}, there 5.0"
    chosen = list(Versions(need).differences(reply, (), (difference,)))
    assert chosen == ([] if asked in ("pyyaml", "-r") else [line.partition(":")[0]])


@pytest.mark.parametrize("packages", ["pandas==2.2.3", "pandas==2.2.3 numpy<2"])
def test_arrays_and_frames_cross_between_major_versions_both_ways(run: Run, packages: str) -> None:
    captured = {name: make() for name, make in FRAMES.items()}

    def look(item: Any, name: str) -> list[Any]:
        import pandas

        return [pandas.__version__[:2], written(item), written(captured[name]), item, FRAMES[name]()]

    pairs = [(make(), name) for name, make in FRAMES.items()]
    # In one sandbox, which imports pandas once.
    result = run(look, pairs, starmap=True, packages=packages, chunksize=len(pairs))
    assert result.errors == {}
    for (item, name), (version, as_item, as_captured, back, made) in zip(pairs, result, strict=True):
        assert version == "2."
        assert as_item == as_captured == written(item) == written(back), name
        assert written(made)[0] == written(item)[0], name


def test_what_cannot_cross_names_both_versions(run: Run) -> None:
    text = np.array(["a", "bb"], dtype=np.dtypes.StringDType())
    shown = str(run(len, [text], packages="numpy<2").errors[0])
    assert shown.count(f"numpy here {np.__version__}, there 1.") == 1
    assert "install those versions where the notebook runs" in shown


@pytest.mark.parametrize("name", FRAMES)
def test_frames_are_the_same_where_the_version_is(name: str) -> None:
    value = FRAMES[name]()
    for back in (packing.loads(packing.dumps(value)), packing.loads(packing.dumps([value]))[0]):
        if isinstance(value, pd.DataFrame):
            pd.testing.assert_frame_equal(back, value, check_freq=True)
        elif isinstance(value, pd.Series):
            pd.testing.assert_series_equal(back, value, check_freq=True)
        elif isinstance(value, pd.Index):
            pd.testing.assert_index_equal(back, value, exact=True)
            assert getattr(back, "freq", None) == getattr(value, "freq", None)
        else:
            assert written(back) == written(value)
