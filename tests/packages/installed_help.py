"""Writes distributions to disk as installers do."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from pathlib import Path


def digest(data: bytes) -> str:
    return "sha256=" + base64.urlsafe_b64encode(hashlib.sha256(data).digest()).decode().rstrip("=")


def write(root: Path, files: Mapping[str, str | bytes]) -> None:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())


def wheel(root: Path, name: str, files: Mapping[str, str | bytes], *, version: str = "1", requires: str = "") -> None:
    """Install as pip does from a wheel for any platform."""
    folder = f"{name}-{version}.dist-info"
    required = "".join(f"Requires-Dist: {line}\n" for line in requires.splitlines())
    contents: dict[str, str | bytes] = {
        **files,
        f"{folder}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{required}",
        f"{folder}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    lines = []
    for path, text in contents.items():
        data = text if isinstance(text, bytes) else text.encode()
        lines.append(f"{path},{digest(data)},{len(data)}")
    write(root, {**contents, f"{folder}/RECORD": "\n".join([*lines, f"{folder}/RECORD,,"]) + "\n"})
