"""joblib's backend: `parallel_config(backend="lambda")`, and everything that scikit-learn runs through it."""

from __future__ import annotations

from concurrent.futures import Future
from inspect import signature
from typing import TYPE_CHECKING, Any

from lithops_magic.engine.options import check_names
from lithops_magic.executor.executor import MANY, LambdaExecutor

if TYPE_CHECKING:
    from collections.abc import Callable

NAME = "lambda"
_OPTIONS = tuple(name for name in signature(LambdaExecutor).parameters if name != "max_workers")


def register_joblib(name: str = NAME) -> None:
    """Register joblib's backend "lambda": `with joblib.parallel_config(backend="lambda"): ...`.

    Other arguments of `parallel_config`, such as ``memory=2048``, are options of `LambdaExecutor`. ``n_jobs=-1``, the
    default, means as many sandboxes as the account allows. A `Parallel` within a task runs on threads of its sandbox.

    Raises
    ------
    MissingPackage
        joblib is not installed.
    """
    from lithops_magic.engine.result.misuse import need

    need("joblib", "register_joblib()", "joblib").register_parallel_backend(name, _backend())


def _backend() -> type[Any]:
    from joblib.parallel import ParallelBackendBase  # type: ignore[import-untyped]

    class LambdaBackend(ParallelBackendBase):  # type: ignore[misc]
        """Uses a new executor for each call of `Parallel`."""

        default_n_jobs = -1
        supports_retrieve_callback = True
        uses_threads = False
        supports_sharedmem = False

        _executor: LambdaExecutor | None = None

        def __init__(self, nesting_level: int | None = None, **options: Any) -> None:
            check_names(options, _OPTIONS, f'parallel_config(backend="{NAME}"): ')
            super().__init__(nesting_level=nesting_level, **options)

        def effective_n_jobs(self, n_jobs: int | None) -> int:
            if n_jobs == 0:
                raise ValueError("n_jobs == 0 in Parallel has no meaning")
            # joblib dispatches that many batches ahead; the account's real limit is known only after connecting.
            return MANY if n_jobs is None or n_jobs < 0 else n_jobs

        def configure(self, n_jobs: int = 1, parallel: Any = None, **options: Any) -> int:
            # The other arguments concern folders and processes of this machine.
            given = {name: value for name, value in options.items() if name in _OPTIONS}
            self.parallel = parallel
            self._configuration = (n_jobs, given)
            self._executor = LambdaExecutor(n_jobs if n_jobs > 0 else None, **{**self.backend_kwargs, **given})
            return self.effective_n_jobs(n_jobs)

        def submit(self, func: Callable[[], Any], callback: Callable[[Future[Any]], Any] | None = None) -> Future[Any]:
            assert self._executor is not None
            future = self._executor.submit(func)
            if callback is not None:
                future.add_done_callback(callback)
            return future

        def retrieve_result_callback(self, out: Future[Any]) -> Any:
            return out.result()

        def terminate(self) -> None:
            if self._executor is not None:
                self._executor.shutdown(wait=False)
                self._executor = None

        def abort_everything(self, ensure_ready: bool = True) -> None:
            if self._executor is not None:
                self._executor.shutdown(wait=False, cancel_futures=True)
            # joblib goes on with the same backend after an error in a `with` block.
            if ensure_ready:
                n_jobs, options = self._configuration
                self.configure(n_jobs, self.parallel, **options)

    return LambdaBackend
