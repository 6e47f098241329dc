"""Reports packages whose version differs between the function and the notebook."""

from __future__ import annotations

from collections.abc import Iterator

from lithops_magic.engine.wire.reply import WorkerReply
from lithops_magic.packages import Need


class Versions:
    """Compares the versions that the function's sandboxes report with the notebook's; reports each difference once."""

    def __init__(self, need: Need) -> None:
        self.need = need
        self._said: set[str] = set()
        self.found: list[str] = []
        """Differences already reported, one phrase each."""

    def differences(
        self, worker: WorkerReply | None, notes: tuple[str, ...], chosen: tuple[str, ...] = ()
    ) -> Iterator[str]:
        """Yield a sentence for each difference neither requested nor reported when the version was chosen.

        Parameters
        ----------
        worker
            Reports the sandbox's versions, if it could reply.
        notes
            What the user was told when the function was deployed.
        chosen
            Differences that followed from the choice of versions, one phrase each.
        """
        if worker is None or self.need.request.files:
            return
        for name, version in worker.versions.items():
            if name not in self._said and not any(version in note for note in notes):
                self._said.add(name)
                package, here = self.need.distribution(name), self.need.versions.get(name)
                if package not in self.need.request.names:
                    difference = f"{name} here {here}, there {version}"
                    self.found.append(difference)
                    fix = f"ship the notebook's with --packages {package}=={here}"
                    layer = "or correct the function's layer or image"
                    # Lambda's version follows from what was requested and what is available.
                    way_out = "" if difference in chosen else f": {fix}, {layer}"
                    yield f"the function has {name} {version}, the notebook {here}{way_out}"
