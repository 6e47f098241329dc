"""Runs functions: turns a version and an event into a reply."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from lithops_magic.local.model import RunnableVersion, ServiceError
from lithops_magic.local.sandbox import runtime_dir
from lithops_magic.local.sandbox.cpu_share import CpuShare
from lithops_magic.local.sandbox.isolation import Choice, Isolation
from lithops_magic.local.sandbox.logs import LogShipper
from lithops_magic.local.sandbox.memory_limit import MemoryWatch
from lithops_magic.local.sandbox.pool import Pool
from lithops_magic.local.sandbox.runtime_api import Call
from lithops_magic.local.sandbox.sandbox import Credentials, Invoked, SandboxContext

OWN_RUNTIME = f"python{sys.version_info.major}.{sys.version_info.minor}"
"""Lambda's name of the only runtime available here: this interpreter."""

__all__ = ["OWN_RUNTIME", "Invoked", "Runtime"]


class Runtime:
    """Runs functions in sandbox processes; all methods must be called from the event loop's thread.

    Parameters
    ----------
    state
        Existing folder; its `runtime` subfolder is replaced now and removed by `close`.
    endpoint_url
        The local AWS's address for functions.
    workers
        Most sandboxes alive at once.
    credentials
        Returns a session of the execution role for the function.
    isolation
        `auto`, `namespaces` or `none`.
    native_client
        Use awslambdaric's compiled client where it is installed.
    cpu_share
        Give sandboxes CPU in proportion to their memory.

    Attributes
    ----------
    note
        One line for the user about what differs from Lambda on this machine, or empty.
    """

    def __init__(
        self,
        *,
        state: Path,
        region: str,
        endpoint_url: str,
        workers: int,
        credentials: Credentials,
        logs: LogShipper,
        isolation: Choice = "auto",
        native_client: bool = True,
        cpu_share: bool = False,
    ) -> None:
        self._state = state / "runtime"
        shutil.rmtree(self._state, ignore_errors=True)
        runtime_dir.build(self._state / "var-runtime", native_client=native_client)
        isolated = Isolation(self._state / "var-runtime", self._state, isolation)
        self.note = isolated.note
        variables = {
            "AWS_REGION": region,
            "AWS_DEFAULT_REGION": region,
            "AWS_ENDPOINT_URL": endpoint_url,
            # Without it, what is built on Rust's object_store (obstore, Polars, delta-rs) refuses an http:// endpoint.
            "AWS_ALLOW_HTTP": "true",
        }
        self._watch = MemoryWatch()
        self._share = CpuShare() if cpu_share else None
        platform = SandboxContext(isolated, self._watch, variables, credentials, logs.add, self._share)
        self._pools: list[Pool] = []
        """By depth: a function that another one invokes and waits for must not wait for the caller's sandbox."""
        self._workers, self._platform = workers, platform

    @property
    def busy(self) -> int:
        """Invocations running or waiting for a sandbox."""
        return sum(pool.busy for pool in self._pools)

    async def invoke(
        self,
        version: RunnableVersion,
        payload: bytes,
        *,
        request_id: str,
        client_context: str | None = None,
        invoked_arn: str,
        depth: int = 0,
    ) -> Invoked:
        """Run one event, waiting while all sandboxes are busy.

        Parameters
        ----------
        depth
            How many functions wait for it, each for the next.
        client_context
            JSON text.

        Raises
        ------
        ServiceError
            InvalidRuntimeException when the function is for another Python than this one.
        """
        if version.runtime != OWN_RUNTIME:
            raise _cannot_run(version.runtime)
        # Depth has a limit (`chain.MAX_DEPTH`), unless a function allows loops.
        while len(self._pools) <= depth:
            self._pools.append(Pool(self._state / f"depth-{len(self._pools)}", self._workers, self._platform))
        return await self._pools[depth].invoke(version, Call(request_id, payload, invoked_arn, client_context, depth))

    async def retire(self, name: str) -> None:
        """Close the sandboxes of a changed or deleted function, busy ones after their invocation."""
        for pool in self._pools:
            pool.retire(name)

    async def close(self) -> None:
        """Close all sandboxes and remove what they left."""
        for pool in self._pools:
            await pool.close()
        self._watch.close()
        if self._share:
            self._share.close()
        shutil.rmtree(self._state, ignore_errors=True)


def _cannot_run(runtime: str) -> ServiceError:
    text = (
        f"The local AWS cannot run container images such as {runtime}: create the function from a zip."
        if "/" in runtime
        else f"The local AWS runs under {OWN_RUNTIME} and cannot run this {runtime} function: "
        f"create it with runtime {OWN_RUNTIME}."
    )
    return ServiceError("InvalidRuntimeException", text, status=502, members={"Type": "User"})
