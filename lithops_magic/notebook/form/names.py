"""Names of settings accepted by `%lambda_config --set`."""

from __future__ import annotations

from collections.abc import Mapping

from lithops_magic.config.keys import KEYS
from lithops_magic.notebook.form.model import FIELDS

NAMES: Mapping[str, str] = {
    **{name: name for name in FIELDS},
    **{".".join(place[1:]): key.field for key in KEYS for place in key.places if key.field in FIELDS},
}
"""Our names of settings and Lithops', such as memory, runtime_memory and vpc.subnets."""
