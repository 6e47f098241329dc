"""Files of the notebook's folder in the tasks' working folder: listed, shipped by content, named where they lack."""

from __future__ import annotations

import importlib
import os
import shlex
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from lithops_magic import errors
from lithops_magic.engine.dispatch import failures
from lithops_magic.engine.options import MapOptions
from lithops_magic.engine.result.map_result import MapResult
from lithops_magic.engine.wire.function import Function
from lithops_magic.errors import MisuseError, PackageError
from lithops_magic.notebook.parse.grammar import cell_line
from lithops_magic.notebook.parse.line_options import options_only
from lithops_magic.notebook.parse.options import CALL
from lithops_magic.packages import Request, data
from lithops_magic.packages.need import INLINE

Run = Callable[..., MapResult]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The notebook's folder, with data."""
    here = tmp_path / "notebook"
    for name, text in {
        "data.csv": "1,2\n",
        "two words.txt": "2",
        "folder/a.txt": "a",
        "folder/deep/.zarray": "z",
        "folder/__pycache__/a.pyc": "no",
        "../beside/x.bin": "x",
    }.items():
        (here / name).parent.mkdir(parents=True, exist_ok=True)
        (here / name).write_text(text)
    monkeypatch.chdir(here)
    return here


def names(*words: str) -> list[str]:
    return [name for name, _ in data.listed(words)]


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (["data.csv"], ["data.csv"]),
        (["./folder/"], ["folder/a.txt", "folder/deep/.zarray"]),
        (["folder/deep/../a.txt", "data.csv"], ["data.csv", "folder/a.txt"]),
        (["*.csv", "folder/*.txt"], ["data.csv", "folder/a.txt"]),
        (["../beside"], ["beside/x.bin"]),
        (["../beside/x.bin"], ["x.bin"]),
        (["data.csv", "./data.csv"], ["data.csv"]),
    ],
)
def test_what_lies_in_the_folder_keeps_its_path_and_all_else_its_name(
    folder: Path, words: list[str], found: list[str]
) -> None:
    assert names(*words) == found
    assert names(*(str(folder / word) for word in words)) == found


def test_a_link_that_leads_back_and_one_to_a_file(folder: Path) -> None:
    (folder / "folder/loop").symlink_to(folder)
    (folder / "folder/link.csv").symlink_to(folder / "data.csv")
    assert names("folder") == [
        "folder/a.txt",
        "folder/deep/.zarray",
        "folder/link.csv",
        "folder/loop/data.csv",
        "folder/loop/two words.txt",
    ]


@pytest.mark.parametrize("word", ["nowhere.csv", "no/*.csv", "fifo", "empty"])
def test_what_cannot_be_shipped_is_one_line(folder: Path, word: str) -> None:
    os.mkfifo(folder / "fifo")
    (folder / "empty/inner").mkdir(parents=True)
    with pytest.raises(PackageError, match=f"^files: .*{word.replace('*', '.')}") as caught:
        Request.parse(None, (word,))
    assert "\n" not in str(caught.value)


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    ("body", "files", "told"),
    [
        ("sum(1 for _ in glob.glob('folder/*.txt'))", [], ["folder/*.txt"]),
        ("list(Path('folder').glob('*.txt'))", [], ["folder"]),
        ("[n for n in [1] if os.path.exists('data.csv')]", [], ["data.csv"]),
        ("list(os.walk('two words.txt')), os.path.isfile('./data.csv')", [], ["./data.csv", "two words.txt"]),
        ("glob.glob('folder/*.txt')", ["folder"], []),
        ("Path('./folder/').exists()", ["folder/a.txt"], []),
        ("glob.glob('folder/*.txt')", ["folder/a.txt"], []),
        ("glob.glob('*.parquet') or os.path.exists('/tmp') or os.path.exists('.')", [], []),
        ("open('data.csv')", [], []),
        ("sqlite3.connect('data.csv')", [], ["data.csv"]),
        ("configparser.ConfigParser().read('data.csv')", [], ["data.csv"]),
        ("configparser.ConfigParser().read('data.csv')", ["data.csv"], []),
    ],
)
def test_what_would_silently_not_be_found_is_noted_before(body: str, files: list[str], told: list[str]) -> None:
    names: dict[str, object] = {"__name__": "__main__"}
    exec(f"import configparser, glob, os, sqlite3\nfrom pathlib import Path\ndef f(x):\n    return {body}", names)
    notes = Function.pickle(names["f"], (), Request.parse(None, files)).warnings  # type: ignore[arg-type]
    assert [note for note in notes if "not in the sandboxes" in note] == [
        note for note in notes if all(shlex.quote(name) in note for name in told) and told
    ]
    assert bool(notes) is bool(told)


def test_a_missing_file_that_an_except_clause_hides_is_noted_before(folder: Path) -> None:
    def reads(x: int) -> str:
        try:
            return Path("data.csv").read_text()
        except OSError:
            return "folder"

    notes = Function.pickle(reads, (), Request.parse(None)).warnings
    assert ["data.csv" in note and "folder" not in note for note in notes] == [True]


def test_two_of_one_name_and_too_much_are_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "x.bin").write_text("y")
    with pytest.raises(PackageError, match=r"would both be x\.bin"):
        names("x.bin", "../beside/x.bin")
    monkeypatch.setattr(data, "UNZIPPED_LIMIT", 3)
    with pytest.raises(PackageError, match=r"put it in S3"):
        names("data.csv")


@pytest.mark.parametrize("wrong", [3, b"data.csv", {"a": 1}, [1], [""]])
def test_the_option_takes_paths(wrong: object) -> None:
    with pytest.raises(MisuseError, match="files must be a path or a list of paths"):
        MapOptions(files=wrong)  # type: ignore[arg-type]
    assert MapOptions(files=[Path("a"), "b"]).files == ("a", "b")  # type: ignore[arg-type]


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    ("line", "files"),
    [
        ("x in y --files data.csv folder/ -o out", ("data.csv", "folder/")),
        ("x in y --files data.csv nowhere.csv", ("data.csv", "nowhere.csv")),
        ("--files data.csv folder/ x in y", ("data.csv", "folder/")),
        ("--files folder/*.txt --memory 512 x in y", ("folder/*.txt",)),
        ("x in y --files 'two words.txt' data.csv --files folder", ("two words.txt", "data.csv", "folder")),
        ("--files=data.csv x in y", ("data.csv",)),
    ],
)
def test_the_magics_option_takes_several_words(line: str, files: tuple[str, ...]) -> None:
    asked = cell_line(line)
    assert (asked.target, asked.items, asked.options.files) == ("x", "y", files)


def test_a_single_call_takes_several_words_as_well(folder: Path) -> None:
    assert options_only(f"--files data.csv {folder} -o y", CALL, "%%lambda_call").files == ("data.csv", str(folder))


def test_tasks_find_the_files_where_they_work(run: Run, folder: Path) -> None:
    def read(x: int) -> tuple[str, str, str]:
        import os
        from pathlib import Path

        seen = Path("data.csv").read_text(), Path("folder/deep/.zarray").read_text(), Path("x.bin").read_text()
        # The next task begins there all the same.
        os.chdir("/")
        return seen

    def say(x: int) -> str:
        import subprocess

        return subprocess.run(["./say.sh"], capture_output=True, check=True, text=True).stdout

    def left(x: int) -> list[str]:
        import tempfile

        return [path.name for path in Path(tempfile.gettempdir()).glob("modules-*")]

    shipped = ["data.csv", "folder/", str(folder.parent / "beside/x.bin")]
    first = run(read, [1, 2], files=shipped, chunksize=2, workers=1).values()
    assert first == [("1,2\n", "z", "x")] * 2
    # What they say now counts, and nothing of them outlives the job.
    (folder / "data.csv").write_text("3")
    assert "--files x.bin" not in str(run(read, files=["data.csv", "folder"]).errors[0])
    Path("x.bin").write_text("y")
    assert run(read, files=["data.csv", "folder", "x.bin"]).values() == [("3", "z", "y")]
    Path("say.sh").write_text("#!/bin/sh\necho a\n")
    with pytest.raises(PermissionError):
        run(say, files="say.sh").values()
    Path("say.sh").chmod(0o744)
    assert run(say, files="say.sh").values() == ["a\n"]
    assert run(left).values() == [[]]


def test_large_files_go_through_s3_once_beside_the_notebooks_modules(
    run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "large.bin").write_bytes(os.urandom(3 * INLINE))
    (folder / "helper_of_data.py").write_text(
        "from pathlib import Path\ndef size(): return (Path(__file__).parent / ('large' + '.bin')).stat().st_size\n"
    )
    monkeypatch.syspath_prepend(folder)
    helper = importlib.import_module("helper_of_data")

    def measure(x: int) -> tuple[int, int]:
        return Path("large.bin").stat().st_size, helper.size()

    assert run(measure, range(3), files="large.bin").values() == [(3 * INLINE, 3 * INLINE)] * 3
    assert run(measure, range(2), files="large.bin").values() == [(3 * INLINE, 3 * INLINE)] * 2
    # Beside a module, too, it is named where it lacks.
    error = run(lambda x: helper.size()).errors[0]
    assert "(--files large.bin)" in str(error)
    del sys.modules["helper_of_data"]


def test_small_files_go_with_the_request_and_large_ones_are_a_reference(folder: Path) -> None:
    def head(*words: str) -> Mapping[str, object]:
        sources = Function.pickle(len, (), Request.parse(None, words)).head["sources"]
        assert isinstance(sources, dict)
        return sources

    (folder / "large.bin").write_bytes(os.urandom(2 * INLINE))
    assert head("data.csv").keys() == {"sha256", "data", "cwd"}
    assert head("large.bin").keys() == {"sha256", "cwd"}
    before = head("large.bin", "data.csv")["sha256"]
    (folder / "data.csv").write_text("1,3\n")
    assert head("large.bin", "data.csv")["sha256"] != before


def test_files_that_a_module_names_beside_itself_go_with_it(run: Run, project: Callable[..., Path]) -> None:
    project(
        {
            "reader_of_data.py": "import os\nHERE = os.path.dirname(__file__)\n\n"
            "def rows():\n    text = open(HERE + '/' + 'table.csv').read()\n"
            "    return text + str(os.listdir(os.path.join(HERE, 'tables')))\n",
            "table.csv": "7",
            "tables/one.csv": "1",
            "other.csv": "8",
            ".env": "secret",
        }
    )
    reader = importlib.import_module("reader_of_data")
    assert run(lambda x: reader.rows()).values() == ["7['one.csv']"]


@pytest.mark.usefixtures("folder")
def test_a_file_that_is_here_and_not_there_is_named_with_the_option(run: Run, folder: Path) -> None:
    outside = folder.parent / "beside/x.bin"

    def use(path: str) -> str:
        return Path(path).read_text()

    failed = run(use, ["data.csv", "two words.txt", str(outside), str(folder / "data.csv"), "nowhere.csv"]).errors
    told = [str(failed[index]) for index in range(5)]
    assert "(--files data.csv)" in told[0]
    assert "(--files 'two words.txt')" in told[1]
    assert f"(--files {outside}) and call it 'x.bin' in the task" in told[2]
    assert f"(--files {folder / 'data.csv'}) and call it 'data.csv' in the task" in told[3]
    assert "--files" not in told[4]
    assert all(isinstance(error, errors.RemoteError) for error in failed.values())


def test_a_file_is_named_however_its_absence_is_worded_or_wrapped(run: Run, folder: Path) -> None:
    def use(how: str) -> object:
        import importlib
        import runpy
        import subprocess

        if how == "cause":
            try:
                return Path("data.csv").read_text()
            except OSError as error:
                raise RuntimeError("the table is unusable") from error
        if how == "program":
            return subprocess.run(["cat", "two words.txt"], check=True, capture_output=True)
        if how == "database":
            return importlib.import_module("sqlite3").connect("data.csv").execute("select 1")
        if how == "library":
            return importlib.import_module("ctypes").CDLL("./data.csv")
        if how == "absolute there":
            return runpy.run_path("data.csv")
        if how == "another way":
            return Path(f"../{Path(folder).name}/data.csv").read_text()
        return subprocess.run(["false", "data.csv"], check=True)

    failed = run(use, ["cause", "program", "database", "absolute there", "another way", "else", "library"]).errors
    told = [str(failed[index]) for index in range(7)]
    assert all("(--files data.csv)" in text for text in (told[0], told[2], told[3]))
    assert "(--files 'two words.txt')" in told[1]
    assert "and call it 'data.csv' in the task" in told[4]
    assert "--files" not in told[5]
    assert "(--files ./data.csv)" in told[6]
    assert "a build of the package" not in told[6]


@pytest.mark.parametrize(
    "message",
    [
        "[Errno 2] No such file or directory: '/var/lang/share/projection/p.db'",
        "Cannot find data: no such file /var/lang/share/projection/p.db, set PROJECTION_DATA",
    ],
)
def test_a_data_file_beside_python_is_named_where_it_lies_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, message: str
) -> None:
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    path = tmp_path / "share/projection/p.db"

    def explained() -> str:
        return failures.of_exception(errors.RemoteTraceback("OSError", message), 1024)[1]

    assert explained() == ""
    path.parent.mkdir(parents=True)
    path.write_text("")
    said = f"the file {path} is on this machine and not in the sandbox: ship it with files (--files {path})"
    assert said in explained()
