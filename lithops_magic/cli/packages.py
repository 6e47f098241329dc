"""The command `packages`: lists what a notebook's mapped cells would get on Lambda, and why; runs no cell."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lithops_magic.packages import Need, Supply


def register(commands: Any) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser("packages", help="show which packages the mapped cells of a notebook get")
    parser.add_argument("notebook", type=Path, metavar="FILE.ipynb")
    parser.set_defaults(run=_show)


def _show(options: argparse.Namespace) -> int:
    from lithops_magic import config
    from lithops_magic.cli.notebook import needs_of_notebook
    from lithops_magic.packages import Room, Target, supply

    settings = config.load()
    target = Target.of(settings.architecture, local=settings.local)
    # The local AWS does not run images.
    room = Room.of(settings.replace(runtime=None) if settings.local else settings)
    found = list(needs_of_notebook(options.notebook))
    for cell, need in found:
        print(f"cell {cell.number}: {cell.line}")
        print("\n".join(_lines(need, supply(need, target, _progress, room))) or "  nothing")
    if not found:
        print(f"No cell of {options.notebook} runs anything on Lambda.")
    return 0


def _lines(need: Need, given: Supply) -> Iterator[str]:
    parts = {part.name: part for part in given.parts}
    for layer in given.built:
        for entry in layer.packages:
            part = parts.get(_canonical(entry.name))
            here = f" (here {part.version})" if part and part.version != entry.version else ""
            why = part.why if part else "required or asked for"
            yield f"  {entry.name} {entry.version}{here}  {entry.size / 2**20:,.1f} MB  {why}"
    yield from (f"  {name}  your own, sent with the job" for name in _own(need))
    kinds = [("layer", given.layers), ("archive in S3, unpacked to /tmp at each cold start", given.archives)]
    for kind, layers in kinds:
        for layer in layers:
            yield f"  {kind}: {layer.size / 2**20:,.1f} MB zipped, {layer.unzipped / 2**20:,.1f} MB unzipped"
    yield from (f"  Note: {note}" for note in given.notes)


def _own(need: Need) -> list[str]:
    import io
    import zipfile

    if not need.sources:
        return []
    with zipfile.ZipFile(io.BytesIO(need.sources)) as archive:
        return archive.namelist()


def _canonical(name: str) -> str:
    from packaging.utils import canonicalize_name

    return canonicalize_name(name)


def _progress(text: str) -> None:
    print(f"{text} …", file=sys.stderr)
