"""Says where a function has another version of a package than the notebook."""

from __future__ import annotations

from collections.abc import Iterator

from lithops_magic.engine.wire.reply import WorkerReply
from lithops_magic.packages import Need


class Versions:
    """Compares what the function's sandboxes report with the notebook, and says each difference once."""

    def __init__(self, need: Need) -> None:
        self.need = need
        self._said: set[str] = set()
        self.found: list[str] = []
        """What was said, one phrase each."""

    def differences(
        self, worker: WorkerReply | None, said: tuple[str, ...], known: tuple[str, ...] = ()
    ) -> Iterator[str]:
        """Yield a sentence for each difference that was neither asked for nor said when the version was chosen."""
        if worker is None or self.need.request.files:
            return
        for name, version in worker.versions.items():
            if name not in self._said and not any(version in note for note in said):
                self._said.add(name)
                package, here = self.need.distribution(name), self.need.versions.get(name)
                if package not in self.need.request.names:
                    difference = f"{name} here {here}, there {version}"
                    self.found.append(difference)
                    fix = f"ship the notebook's with --packages {package}=={here}"
                    layer = "or correct the function's layer or image"
                    # What was chosen for Lambda follows from what was asked for, and from what there is.
                    way_out = "" if difference in known else f": {fix}, {layer}"
                    yield f"the function has {name} {version}, the notebook {here}{way_out}"
