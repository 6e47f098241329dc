"""Fills the folders of Lambda's own packages: awslambdaric and boto3 in `/var/runtime`, pip in the interpreter's."""

from __future__ import annotations

import ensurepip
import importlib
import importlib.metadata
import shutil
import sysconfig
from pathlib import Path

DISTRIBUTIONS = (
    "awslambdaric",
    "simplejson",
    "snapshot-restore-py",
    "boto3",
    "botocore",
    "s3transfer",
    "jmespath",
    "python-dateutil",
    "six",
    "urllib3",
)
"""The contents of Lambda's own `/var/runtime`."""
_METADATA = (".dist-info", ".egg-info")


def build(folder: Path, *, native_client: bool) -> None:
    """Link the runtime's packages into `folder`.

    Parameters
    ----------
    native_client
        Use awslambdaric's compiled client where it is installed; False always uses our pure-Python one.
    """
    folder.mkdir(parents=True)
    native = _link_distributions(folder, native_client=native_client)
    inside = Path(__file__).parent.parent / "inside"
    shutil.copy(inside / "bootstrap.py", folder)
    if not native:
        shutil.copy(inside / "runtime_client.py", folder)


def repair(folder: Path) -> frozenset[str]:
    """Relink what an installer has moved since, such as metadata folders, which are named by version.

    Returns
    -------
    frozenset[str]
        The names of what is there now.
    """
    gone = [path for path in folder.iterdir() if not path.exists()]
    if gone:
        native_client = not (folder / "runtime_client.py").is_file()
        importlib.invalidate_caches()
        _link_distributions(folder, native_client=native_client)
        removed = tuple(name.replace("-", "_") for name in DISTRIBUTIONS if not top_level(name))
        for path in gone:
            # Modules may be installed again: an upgrade removes the old version first. Old metadata only mislead.
            if not path.exists() and path.suffix in _METADATA and not path.name.startswith(removed):
                path.unlink()
    return frozenset(path.name for path in folder.iterdir() if path.exists())


def _link_distributions(folder: Path, *, native_client: bool) -> bool:
    """Link what is not there yet; return whether the compiled client is present."""
    native = False
    for distribution in DISTRIBUTIONS:
        for source in top_level(distribution):
            is_client = source.name.startswith("runtime_client.")
            native = native or (is_client and native_client)
            target = folder / source.name
            if (native_client or not is_client) and source.exists() and not target.exists():
                target.unlink(missing_ok=True)  # a link to what is gone
                link(source, target)
    return native


def site_packages(folder: Path) -> Path:
    """Fill the interpreter's own package folder with pip, as on Lambda, if this Python bundles its wheel."""
    folder.mkdir()
    bundled = Path(ensurepip.__file__).parent / "_bundled"
    wheels = [*Path(sysconfig.get_config_var("WHEEL_PKG_DIR") or bundled).glob("pip-*.whl")]
    if wheels:
        # Python can import from a wheel directly; unpacking it would delay the start.
        shutil.copy(wheels[0], folder / "pip.whl")
        (folder / "pip.pth").write_text("pip.whl\n")
    return folder


def top_level(distribution: str) -> list[Path]:
    """Return the packages, modules and metadata installed by a distribution."""
    try:
        found = importlib.metadata.distribution(distribution)
    except importlib.metadata.PackageNotFoundError:
        return []
    names = {path.parts[0] for path in found.files or () if path.parts[0] not in ("..", "__pycache__", "bin")}
    return [Path(str(found.locate_file(name))) for name in sorted(names)]


def link(source: Path, target: Path) -> None:
    try:
        target.symlink_to(source, target_is_directory=source.is_dir())
    except OSError:
        # On Windows, only administrators and developers may create links.
        if source.is_dir():
            shutil.copytree(source, target)
        else:
            shutil.copy(source, target)
