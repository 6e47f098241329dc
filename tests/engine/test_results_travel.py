"""A result travels as its values: into tasks, files and copies."""

from __future__ import annotations

import copy
import pickle
import subprocess
import sys

import pytest

from lithops_magic.config import Settings
from lithops_magic.engine import MapResult, api
from lithops_magic.errors import TaskError
from localaws import LocalAws

pytestmark = pytest.mark.usefixtures("local_aws")

LOCAL = Settings(local=True, memory=256)


@pytest.fixture(scope="module")
def result(local_aws: LocalAws) -> MapResult:
    def invert(x: int) -> float:
        if x == 2:
            raise IndexError("two")
        return 1 / x

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LITHOPS_MAGIC_LOCAL_DIR", str(local_aws.folder))
        return api.map(invert, [1, 0, 2, 4], errors="keep", settings=LOCAL)


def test_a_copy_and_a_pickle_are_complete_by_themselves(result: MapResult) -> None:
    for values in (copy.deepcopy(result), copy.copy(result), pickle.loads(pickle.dumps(result))):
        assert values.succeeded() == {0: 1.0, 3: 0.25}
        assert list(values.errors) == [1, 2]
        with pytest.raises(ZeroDivisionError, match="division by zero"):
            values[1]
    code = "import pickle, sys; r = pickle.load(sys.stdin.buffer); print(r[0], r.succeeded(), sorted(r.errors), len(r))"
    done = subprocess.run([sys.executable, "-c", code], input=pickle.dumps(result), capture_output=True, check=True)
    assert done.stdout == b"1.0 {0: 1.0, 3: 0.25} [1, 2] 4\n"


def test_a_task_may_use_the_result_of_another_job(result: MapResult) -> None:
    def use(index: int) -> object:
        try:
            return result[index]
        except IndexError as error:
            return f"IndexError {error}"

    later = api.map(use, range(4), errors="keep", settings=LOCAL)
    assert (later[0], later[2], later[3]) == (1.0, "IndexError two", 0.25)
    with pytest.raises(ZeroDivisionError):
        later[1]
    assert isinstance(later.errors[1], TaskError)


def test_a_result_can_be_an_item_and_be_returned(result: MapResult) -> None:
    back = api.map(lambda values: values, [result], settings=LOCAL)[0]
    assert back.succeeded() == {0: 1.0, 3: 0.25}
    sums = api.map(lambda values: sum(values.succeeded().values()), [result, back], settings=LOCAL)
    assert list(sums) == [1.25, 1.25]
