"""Chooses versions for what the user requests with `--packages`: names, requirements files, projects and lock files."""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping, Sequence

from packaging.requirements import Requirement

from lithops_magic.errors import PackageError
from lithops_magic.packages import hashes, unknown_names
from lithops_magic.packages.distributions import NOT_SHIPPED
from lithops_magic.packages.hashes import Hashes
from lithops_magic.packages.indexes import hashes_required
from lithops_magic.packages.lockfiles import is_lock, locked
from lithops_magic.packages.request import Request
from lithops_magic.packages.requirements_file import RequirementsFile, is_requirements, read
from lithops_magic.packages.uv import Resolved, Uv
from lithops_magic.packages.uv_command import Unresolvable

DROP = "{} ; sys_platform == 'none'"
"""An override that removes a requirement from a resolution."""


class Requested:
    """A request with the contents of its files.

    Raises
    ------
    PackageError
        A file cannot be read.
    """

    def __init__(self, request: Request, uv: Uv) -> None:
        self._request = request
        self._uv = uv
        self._locked = list(_locked(request, uv))
        self._listed = {path.name: read(path) for path, _ in request.files if is_requirements(path)}
        self.hashes: Hashes = hashes.read([*_texts(self._listed), *self._locked], hashes_required())
        """Hashes that everything fetched must match."""

    def resolve(self, here: Sequence[str]) -> Resolved:
        """Return versions that satisfy it, with the notebook's versions `here` of its dependencies if possible.

        Raises
        ------
        PackageError
            There are none.
        """
        request = self._request
        if not request.requirements and not request.files:
            return Resolved((), ())
        files = [path for path, _ in request.files if not is_lock(path) and not is_requirements(path)]
        lines = [line for one in self._listed.values() for line in one.requirements]
        limits = [line for one in self._listed.values() for line in one.constraints]
        texts = [text for _, text in self._locked]
        wanted = [*request.requirements, *hashes.without_hashes("\n".join([*lines, *texts]))]
        # With the notebook's versions if that works, else whatever the request allows.
        for constraints in (here, []):
            try:
                return self._uv.resolve(
                    wanted,
                    files=files,
                    constraints=[*constraints, *hashes.without_hashes("\n".join(limits))],
                    overrides=without_notebook(request.names),
                    as_configured=True,
                )
            except Unresolvable as error:
                problem = str(error)
        names = [Requirement(text).name for text in wanted]
        if unknown := unknown_names.explain(problem, names, self._uv.given):
            raise PackageError(f"packages: {unknown}")
        raise PackageError(f"packages: {problem}, for {self._uv.target.describe()}.{self._nearest()}")

    def _nearest(self) -> str:
        """List, for versions that the user pins and that are unavailable, the closest available ones."""
        found = []
        for text in self._request.requirements:
            requirement = Requirement(text)
            versions = [clause.version for clause in requirement.specifier if clause.operator == "=="]
            if versions and not self._uv.available(text):
                older = self._uv.available(f"{requirement.name}<{versions[0]}")
                nearest = older or self._uv.available(requirement.name)
                found += [nearest] if nearest else []
        return f" The nearest available: {', '.join(found)}." if found else ""


def without_notebook(asked: Container[str]) -> list[str]:
    """Return overrides that remove notebook distributions wherever they are required, unless requested."""
    return [DROP.format(name) for name in sorted(NOT_SHIPPED) if name not in asked]


def _locked(request: Request, uv: Uv) -> Iterator[tuple[str, str]]:
    """Yield the names of lock files, and their contents in requirements format."""
    for path, data in request.files:
        if path.name == "uv.lock":
            try:
                yield path.name, uv.export(path.parent)
            except Unresolvable as error:
                raise PackageError(f"packages: {path} cannot be read: {error}.") from None
        elif is_lock(path):
            yield path.name, "\n".join(locked(path, data))


def _texts(listed: Mapping[str, RequirementsFile]) -> Iterator[tuple[str, str]]:
    """Yield the names of requirements files, and their lines."""
    for name, one in listed.items():
        switch = ["--require-hashes"] if "require-hashes" in one.settings else []
        yield name, "\n".join([*switch, *one.requirements, *one.constraints])
