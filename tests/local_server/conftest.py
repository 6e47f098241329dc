from __future__ import annotations

import pytest

from localaws import LocalAws


@pytest.fixture(scope="session")
def local_aws(measured_aws: LocalAws) -> LocalAws:
    return measured_aws
