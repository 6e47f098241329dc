"""What a setting may be called on the line of `%lambda_config --set`."""

from __future__ import annotations

from collections.abc import Mapping

from lithops_magic.config.keys import KEYS
from lithops_magic.notebook.form.model import FIELDS

NAMES: Mapping[str, str] = {
    **{name: name for name in FIELDS},
    **{".".join(place[1:]): key.field for key in KEYS for place in key.places if key.field in FIELDS},
}
"""Our names and Lithops' names of the settings, such as memory, runtime_memory and vpc.subnets."""
