"""The distributions and local modules a function needs, and the layers that hold them. Uses neither AWS nor IPython."""

from __future__ import annotations

from lithops_magic.packages.data import looked_for
from lithops_magic.packages.drift import carry, differing, release
from lithops_magic.packages.identity import goes_with, identity
from lithops_magic.packages.imports import imports_of_code
from lithops_magic.packages.modules import Unit
from lithops_magic.packages.need import Need, discover, need_of, union
from lithops_magic.packages.pickling import Reach, dump_each, dumps
from lithops_magic.packages.placement import Room
from lithops_magic.packages.platform import Target
from lithops_magic.packages.request import Request
from lithops_magic.packages.supply import Supply, fingerprint, pin, supply

__all__ = [
    "Need",
    "Reach",
    "Request",
    "Room",
    "Supply",
    "Target",
    "Unit",
    "carry",
    "differing",
    "discover",
    "dump_each",
    "dumps",
    "fingerprint",
    "goes_with",
    "identity",
    "imports_of_code",
    "looked_for",
    "need_of",
    "pin",
    "release",
    "supply",
    "union",
]
