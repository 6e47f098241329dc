"""Says where a function has another version of a package than the notebook."""

from __future__ import annotations

from collections.abc import Iterator

from lithops_magic.engine.answers import WorkerReply
from lithops_magic.packages import Need


class Versions:
    """Compares what the function's sandboxes report with the notebook, and says each difference once."""

    def __init__(self, need: Need) -> None:
        self._need = need
        self._said: set[str] = set()

    def differences(self, worker: WorkerReply | None, said: tuple[str, ...]) -> Iterator[str]:
        """Yield a sentence for each difference that was neither asked for nor `said` when the version was chosen."""
        asked = self._need.request
        if worker is None or asked.requirements or asked.files:
            return
        for name, version in worker.versions.items():
            if name not in self._said and not any(version in note for note in said):
                self._said.add(name)
                here = self._need.versions.get(name)
                fix = f"ship the notebook's with --packages {name}=={here}, or correct the function's layer or image"
                yield f"the function has {name} {version}, the notebook {here}: {fix}"
