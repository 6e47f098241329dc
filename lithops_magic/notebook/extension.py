"""Loads the magics into an IPython shell, and removes them without a trace."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

from lithops_magic.notebook.display.offer import unfinished
from lithops_magic.notebook.magics import objects
from lithops_magic.notebook.magics.completer import matcher_for
from lithops_magic.notebook.magics.config import ConfigMagics
from lithops_magic.notebook.magics.export import ExportMagics
from lithops_magic.notebook.magics.jobs import JobMagics
from lithops_magic.notebook.magics.lithops import LithopsMagics
from lithops_magic.notebook.magics.map import LambdaMagics
from lithops_magic.notebook.parse.about import notebook_name
from lithops_magic.notebook.parse.transform import transform

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

_NAME = LambdaMagics.__name__
_OURS = (LambdaMagics, JobMagics, ConfigMagics, ExportMagics, LithopsMagics)
_MATCHER = "lithops_magic.options"


def load_ipython_extension(shell: InteractiveShell) -> None:
    """Register the magics and the completion of their options; loading twice changes nothing."""
    if _NAME in shell.magics_manager.registry:
        return
    magics = LambdaMagics(shell)
    # What a profile sets, to be restored on unloading: `%config` writes into the same place.
    magics.from_profile = copy.deepcopy(shell.config.get(_NAME))
    session = magics.session
    ours = (JobMagics(shell, magics), ConfigMagics(shell, session), ExportMagics(shell, session), LithopsMagics(shell))
    shell.register_magics(magics, *ours)
    shell.input_transformers_cleanup.append(transform)
    objects.install(shell, magics.usual)
    # A shell that is not IPython's own may have no completer.
    completer = getattr(shell, "Completer", None)
    if completer is not None:
        completer.custom_matchers.append(matcher_for(shell, _MATCHER, magics.usual))
    if text := unfinished(notebook_name(shell)):
        print(text)  # noqa: T201


def unload_ipython_extension(shell: InteractiveShell) -> None:
    """Remove the magics, their session defaults and the completion."""
    registry: dict[str, Any] = shell.magics_manager.registry
    if _NAME not in registry:
        return
    ours = magics, *_ = [registry.pop(kind.__name__) for kind in _OURS]
    for one in ours:
        shell.configurables.remove(one)
    # %config also writes to the shell's own configuration.
    shell.config.pop(_NAME, None)
    if magics.from_profile is not None:
        shell.config[_NAME] = magics.from_profile
    if transform in shell.input_transformers_cleanup:
        shell.input_transformers_cleanup.remove(transform)
    objects.remove(shell)
    for kind, registered in shell.magics_manager.magics.items():
        for name in (name for one in ours for name in one.magics[kind]):
            registered.pop(name, None)
    completer = getattr(shell, "Completer", None)
    if completer is not None:
        completer.custom_matchers[:] = [
            matcher for matcher in completer.custom_matchers if getattr(matcher, "matcher_identifier", "") != _MATCHER
        ]
