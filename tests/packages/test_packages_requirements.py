"""A requirements file means what it means to pip, which is asked."""

from __future__ import annotations

import tarfile
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from packaging.requirements import InvalidRequirement, Requirement

from lithops_magic.errors import PackageError
from lithops_magic.packages import Request, Room, Target, need_of, requirements_file, supply
from lithops_magic.packages.hashes import without_hashes
from packages.test_packages_configured import links, put_wheel, wheels
from packages.test_packages_index import source
from thorough import WITH_FIXTURES, share

__all__ = ["links", "wheels"]

LINES = st.sampled_from(
    [
        "six",
        "zig>=1,<3",
        "zig \\\n  >=1 \\\n  ,<2",
        "zag[fast, slow] == 1.0 ; python_version >= '3.8'  # why",
        "  # a comment of its own",
        "# a comment that ends so \\",
        "${ODD_NAME}==1",
        "odd-${ODD_UNSET}",
        "attrs # ${ODD_NAME}",
        "-r more/other.txt",
        "--requirement=more/other.txt",
        "-cmore/limits.txt",
        "--constraint more/limits.txt",
        "-i https://one.example/simple",
        "--index-url=https://two.example/simple",
        "--extra-index-url https://me:${ODD_NAME}@three.example/simple",
        "--find-links more",
        "-f https://four.example/links",
        "--trusted-host one.example",
        "--no-index",
        "--pre",
        "--prefer-binary",
        "six==1.16 \\\n    --hash=sha256:0123 \\\n    --hash sha256:4567",
        "name @ https://five.example/name-1-py3-none-any.whl#sha256=89",
        "",
        "\\",
        "pytz\\",
    ]
)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ODD_NAME", "oddity")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "other.txt").write_text("idna\n-r deep.txt\n")
    (tmp_path / "more" / "deep.txt").write_text("certifi\n-c limits.txt\n")
    (tmp_path / "more" / "limits.txt").write_text("idna<4\n")
    return tmp_path


def told_by_pip(path: Path) -> tuple[list[str], list[str], dict[str, object]]:
    from pip._internal.index.collector import LinkCollector
    from pip._internal.index.package_finder import PackageFinder
    from pip._internal.models.search_scope import SearchScope
    from pip._internal.models.selection_prefs import SelectionPreferences
    from pip._internal.network.session import PipSession
    from pip._internal.req.req_file import parse_requirements

    scope = SearchScope([], ["https://pypi.example"], no_index=False)
    collector = LinkCollector(session=PipSession(), search_scope=scope)
    finder = PackageFinder.create(link_collector=collector, selection_prefs=SelectionPreferences(allow_yanked=True))
    found = list(parse_requirements(str(path), session=PipSession(), finder=finder))
    lines = [one.requirement for one in found if not one.constraint]
    limits = [one.requirement for one in found if one.constraint]
    scope = finder.search_scope
    return lines, limits, {"index": scope.index_urls, "links": scope.find_links, "no index": scope.no_index}


def plain(lines: list[str]) -> list[str]:
    return [str(Requirement(line)) for line in without_hashes("\n".join(lines))]


@pytest.mark.filterwarnings("ignore:pkg_resources")  # of an older pip itself
@settings(
    max_examples=share(40, 400),
    deadline=None,
    suppress_health_check=WITH_FIXTURES,
)
@given(
    parts=st.lists(LINES, max_size=7),
    ending=st.sampled_from(["\n", "\r\n", "\r"]),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]),
)
@example(parts=["pytz\\", "--index-url=https://two.example/simple"], ending="\n", encoding="utf-8")
@example(parts=["pytz\\", "-f https://four.example/links"], ending="\n", encoding="utf-8")
def test_lines_are_read_as_pip_reads_them(folder: Path, parts: list[str], ending: str, encoding: str) -> None:
    path = folder / "requirements.txt"
    path.write_bytes(ending.join(parts).replace("\n", ending).encode(encoding))
    try:
        lines, limits, options = told_by_pip(path)
        expected = plain(lines), plain(limits)
    except InvalidRequirement:
        with pytest.raises((InvalidRequirement, PackageError)):
            plain(requirements_file.read(path).requirements)
        return
    found = requirements_file.read(path)
    # What is included twice counts once, which makes no difference.
    assert set(plain(found.requirements)) == set(expected[0])
    assert set(plain(found.constraints)) == set(expected[1])
    there = found.settings
    assert ("no-index" in there) is options["no index"]
    if "no-index" not in there:
        indexes = [there.get("index-url", "https://pypi.example"), *there.get("extra-index-url", "").split()]
        assert set(indexes) == set(options["index"])  # type: ignore[call-overload]
    places = [str(Path(one).resolve()) if "://" not in one else one for one in options["links"]]  # type: ignore[attr-defined]
    assert set(there.get("find-links", "").split()) == set(places)


def shipped(path: Path) -> set[str]:
    layers = supply(need_of({}, Request.parse(str(path))), Target.of("x86_64"), lambda _: None, Room()).layers
    return {f"{one.name}=={one.version}" for layer in layers for one in layer.packages}


def test_folders_files_and_indexes_of_a_file_are_used(
    links: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LITHOPS_MAGIC_CACHE_DIR", str(tmp_path / "layers"))
    monkeypatch.setenv("WHERE_X", str(tmp_path))
    one, two, beside = tmp_path / "one", tmp_path / "two", tmp_path / "beside"
    for folder in (one, two, beside):
        folder.mkdir()
    put_wheel(one, "bare", "1.0")
    put_wheel(two, "named", "2.0")
    (tmp_path / "s.tar.gz").write_bytes(source("folder_x", "py3-none-any"))
    with tarfile.open(tmp_path / "s.tar.gz") as archive:
        archive.extractall(beside, filter="data")
    (beside / "folder_x-1.0").rename(beside / "folder_x")
    path = beside / "requirements.txt"
    path.write_bytes(
        b"\xef\xbb\xbf-e ./folder_x # beside the file\r\n"
        b"../one/bare-1.0-py3-none-any.whl ; sys_platform == 'linux'\r\n"
        b"nothing-such ; sys_platform == 'win32'\r\n"
        b"named @ file://${WHERE_X}/two/named-2.0-py3-none-any.whl\r\n"
        + f"--no-index\r\n--find-links {links}\r\nzag \\\r\n  >=1\r\n-c limits.txt\r\n".encode()
    )
    (beside / "limits.txt").write_text("zig<2\n")
    expected = {"folder_x==1.0", "bare==1.0", "named==2.0", "zag==1.0", "zig==1.0"}
    assert shipped(path) == expected
    (beside / "limits.txt").write_text("zig<3\n")
    assert shipped(path) == (expected - {"zig==1.0"}) | {"zig==2.0"}
    request = Request.parse(str(path))
    put_wheel(one, "bare", "1.0", "six")
    assert Request.parse(str(path)) != request


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("--no-binary :all:", "--no-binary :all:, but packages for Lambda come as wheels"),
        ("-f ./nowhere", "--find-links .*nowhere, which does not exist"),
        ("--frobnicate", "the option --frobnicate, which is not supported"),
        ("-r", "the option -r without a value"),
        ("-r https://me:hunter2@example.org/more.txt", r"includes https://example.org/more.txt: save that beside it"),
        ("-e ./nowhere", r"nowhere is not a folder"),
        ("-r nowhere.txt", "nowhere.txt cannot be read"),
    ],
)
def test_what_cannot_be_followed_is_refused(folder: Path, text: str, said: str) -> None:
    (folder / "requirements.txt").write_text(text)
    with pytest.raises(PackageError, match=said) as caught:
        Request.parse(str(folder / "requirements.txt"))
    assert "\n" not in str(caught.value)
    assert "hunter2" not in str(caught.value)
