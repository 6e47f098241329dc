"""Libraries of scientists that take an executor, a pool or its `map`: each computes what it computes by itself."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from concurrent.futures import Future
from typing import Any

import numpy as np
import pytest
from packaging.version import Version

from executor_help import notebook
from lithops_magic import register_joblib
from lithops_magic.config import Settings
from lithops_magic.executor import LambdaExecutor
from localaws import LocalAws
from users import INSTALL, library

# Libraries warn, and so do we of other versions in tasks than here.
pytestmark = [pytest.mark.users, pytest.mark.filterwarnings("ignore")]

SETTINGS = Settings(local=True, memory=512, timeout=60)
NAMES = notebook("""
    import numpy as np

    def rosenbrock(x):
        return float(sum(100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2))

    def waves(x):
        return np.sin(x * np.arange(1, 4))

    def log_probability(x):
        return -0.5 * float(x @ x)

    def peak(x):
        return x + 1e-4 / (1e-4 + (x - 0.1) ** 2)

    def loss(x, n):
        return (x - 1) ** 2 + n

    def fitted(depth, X, y):
        from sklearn.tree import DecisionTreeClassifier
        return DecisionTreeClassifier(max_depth=depth, random_state=0).fit(X, y).score(X, y)
""")


@pytest.fixture(scope="module")
def executor(local_aws: LocalAws) -> Iterator[LambdaExecutor]:
    with LambdaExecutor(4, settings=SETTINGS) as executor:
        yield executor


@pytest.mark.parametrize("what", ["differential_evolution", "brute", "quad_vec"])
def test_scipy(executor: LambdaExecutor, what: str) -> None:
    integrate, optimize = library("scipy.integrate"), library("scipy.optimize")

    def run(**workers: Any) -> Any:
        match what:
            case "differential_evolution":
                options = {"maxiter": 4, "rng": 1, "updating": "deferred", "polish": False}
                found = optimize.differential_evolution(NAMES["rosenbrock"], [(0, 2)] * 2, **options, **workers)
                return [*found.x, found.fun, found.nfev]
            case "brute":
                return optimize.brute(NAMES["rosenbrock"], ((0, 2), (0, 2)), Ns=5, finish=None, **workers)
            case _:
                return integrate.quad_vec(NAMES["waves"], 0, 1, **workers)[0]

    assert list(run(workers=executor.map)) == list(run())


def test_dask(executor: LambdaExecutor) -> None:
    dask = library("dask")
    array = library("dask.array").arange(1000, chunks=100)
    assert (array**2).sum().compute(scheduler=executor) == sum(i**2 for i in range(1000))
    tree = dask.delayed(sum)([dask.delayed(divmod)(i, 3)[1] for i in range(10)])
    assert tree.compute(scheduler=executor) == sum(i % 3 for i in range(10))
    with pytest.raises(ZeroDivisionError):
        dask.delayed(divmod)(1, 0).compute(scheduler=executor)


@pytest.mark.timeout(60)
@pytest.mark.parametrize(("workers", "under_way"), [(None, 50), (7, 7)])
def test_dask_has_as_many_tasks_under_way_as_there_is_room_for(
    monkeypatch: pytest.MonkeyPatch, workers: int | None, under_way: int
) -> None:
    """And not as many as this machine has processors."""
    dask = library("dask")
    executor, held = LambdaExecutor(workers), []

    def submit(function: Any, *arguments: Any) -> Future[Any]:
        held.append((Future[Any](), function, arguments))
        future = held[-1][0]
        if len(held) >= under_way:
            for each, called, given in held:
                if not each.done():
                    each.set_result(called(*given))
        return future

    monkeypatch.setattr(executor, "submit", submit)
    assert dask.compute(*map(dask.delayed(abs), range(-50, 0)), scheduler=executor) == tuple(range(50, 0, -1))


def test_xarray(executor: LambdaExecutor) -> None:
    dask, xarray = library("dask"), library("xarray")
    values = np.arange(24.0).reshape(4, 6)
    array = xarray.DataArray(values, dims=("t", "x"), coords={"t": list("abab")})
    with dask.config.set(scheduler=executor):
        chunked = ((array.chunk({"x": 2}) + 1) ** 2).groupby("t").mean().compute()
    xarray.testing.assert_identical(chunked, ((array + 1) ** 2).groupby("t").mean())


def test_adaptive(executor: LambdaExecutor) -> None:
    adaptive = library("adaptive")
    learner = adaptive.Learner1D(NAMES["peak"], (-1, 1))
    adaptive.BlockingRunner(learner, npoints_goal=30, executor=executor, ntasks=8)
    assert len(learner.data) >= 30
    assert learner.data == {x: NAMES["peak"](x) for x in learner.data}


def test_optuna(executor: LambdaExecutor) -> None:
    optuna = library("optuna")
    optuna.logging.set_verbosity(optuna.logging.WARNING)

    def study() -> Any:
        return optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=1))

    def objective(trial: Any) -> float:
        value: float = executor.submit(
            NAMES["loss"], trial.suggest_float("x", -3, 3), trial.suggest_int("n", 0, 4)
        ).result()
        return value

    at_once = study()
    at_once.optimize(objective, n_trials=8, n_jobs=4)
    assert [trial.value for trial in at_once.trials] == [NAMES["loss"](**trial.params) for trial in at_once.trials]

    asked, plain = study(), study()
    spaces = {"x": optuna.distributions.FloatDistribution(-3, 3), "n": optuna.distributions.IntDistribution(0, 4)}
    trials = [asked.ask(spaces) for _ in range(6)]
    values = executor.map(NAMES["loss"], *([trial.params[name] for trial in trials] for name in "xn"))
    for trial, value in zip(trials, values, strict=True):
        asked.tell(trial, value)
    plain.optimize(lambda trial: NAMES["loss"](trial.suggest_float("x", -3, 3), trial.suggest_int("n", 0, 4)), 6)
    assert (asked.best_value, asked.best_params) == (plain.best_value, plain.best_params)


def test_emcee(executor: LambdaExecutor) -> None:
    emcee = library("emcee")

    def chain(pool: LambdaExecutor | None) -> Any:
        sampler = emcee.EnsembleSampler(8, 2, NAMES["log_probability"], pool=pool)
        sampler.random_state = np.random.RandomState(2).get_state()
        sampler.run_mcmc(np.random.RandomState(3).randn(8, 2), 4)
        return sampler.get_chain()

    assert (chain(executor) == chain(None)).all()


@pytest.fixture
def iris(local_aws: LocalAws) -> Iterator[Any]:
    """Data for scikit-learn, whose work then goes to Lambda; its tests need the same version on both sides."""
    sklearn = library("sklearn.datasets")
    if sys.version_info < (3, 12) and Version(library("sklearn").__version__) >= Version("1.8"):
        pytest.skip(f"Lambda's Python 3.11 needs an older scikit-learn: {INSTALL}")
    register_joblib()
    return sklearn.load_iris(return_X_y=True)


def test_scikit_learn(iris: Any) -> None:
    joblib, select = library("joblib"), library("sklearn.model_selection")
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.svm import SVC

    # A forest has a `Parallel` of its own, here within a task.
    forest = RandomForestClassifier(4, n_jobs=2, random_state=0)
    search = select.GridSearchCV(SVC(), {"C": [0.1, 1, 10]}, cv=3)

    def run() -> list[Any]:
        scores = search.fit(*iris).cv_results_["mean_test_score"]
        return [*scores, search.best_params_, *select.cross_val_score(forest, *iris, cv=3)]

    with joblib.parallel_config(backend="lambda", settings=SETTINGS):
        there = run()
    assert there == run()


@pytest.mark.parametrize("how", ["generator", "generator_unordered"])
def test_scikit_learn_as_a_generator(iris: Any, how: str) -> None:
    joblib = library("joblib")
    with joblib.parallel_config(backend="lambda", settings=SETTINGS):
        calls = (joblib.delayed(NAMES["fitted"])(depth, *iris) for depth in (1, 2, 3))
        scores = joblib.Parallel(return_as=how)(calls)
        assert sorted(scores) == [NAMES["fitted"](depth, *iris) for depth in (1, 2, 3)]
