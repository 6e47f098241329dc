"""Fills the folder that a function sees as `/var/runtime`: awslambdaric, boto3 and what they need, nothing else."""

from __future__ import annotations

import importlib.metadata
import shutil
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


def build(folder: Path, *, native_client: bool) -> None:
    """Link the runtime's packages into `folder`.

    Parameters
    ----------
    native_client
        Use awslambdaric's compiled client where it is installed; False takes the stand-in everywhere.
    """
    folder.mkdir(parents=True)
    native = False
    for distribution in DISTRIBUTIONS:
        for source in top_level(distribution):
            is_client = source.name.startswith("runtime_client.")
            native = native or (is_client and native_client)
            if native_client or not is_client:
                link(source, folder / source.name)
    inside = Path(__file__).parent.parent / "inside"
    shutil.copy(inside / "bootstrap.py", folder)
    if not native:
        shutil.copy(inside / "runtime_client.py", folder)


def top_level(distribution: str) -> list[Path]:
    """Return the packages, modules and metadata that a distribution installed."""
    found = importlib.metadata.distribution(distribution)
    names = {path.parts[0] for path in found.files or () if path.parts[0] not in ("..", "__pycache__", "bin")}
    return [Path(str(found.locate_file(name))) for name in sorted(names)]


def link(source: Path, target: Path) -> None:
    try:
        target.symlink_to(source, target_is_directory=source.is_dir())
    except OSError:
        # Windows lets only administrators and developers link.
        if source.is_dir():
            shutil.copytree(source, target)
        else:
            shutil.copy(source, target)
