"""Container images: the folder that `lithops-magic image` writes, and jobs that run in an image."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable
from importlib.metadata import Distribution
from pathlib import Path
from typing import Any

import pytest
import yaml

import lithops_magic
from lithops_magic.cli import main
from lithops_magic.config import Settings, load
from lithops_magic.engine.backend.container_image import only_here, origin
from lithops_magic.engine.backend.deployment_package import worker_package
from lithops_magic.engine.result.map_result import MapResult
from lithops_magic.errors import InvokeError
from lithops_magic.packages import Target
from localaws import LocalAws

Run = Callable[..., MapResult]

IMAGE = "123456789012.dkr.ecr.us-east-1.amazonaws.com/tools:1"


def test_the_folder_holds_everything_for_docker_build(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cells = ["import yaml\n", "%%lambda_map text in texts\nyaml.safe_load(text)", "%lambda_map f y --packages docopt"]
    notebook = tmp_path / "work.ipynb"
    notebook.write_text(json.dumps({"cells": [{"cell_type": "code", "source": [cell]} for cell in cells]}))
    folder = tmp_path / "image"
    assert main.main(["image", str(notebook), "--packages", "markupsafe==3.0.2", "--out", str(folder)]) == 0
    told = capsys.readouterr().out
    pins = (folder / "requirements.txt").read_text().splitlines()
    assert pins == ["docopt==0.6.2", "markupsafe==3.0.2", f"pyyaml=={yaml.__version__}"]
    target = Target.of("x86_64")
    instructions = [line for line in (folder / "Dockerfile").read_text().splitlines() if line and line[0] != "#"]
    debian = [
        f"FROM public.ecr.aws/docker/library/python:{target.python}-slim-bookworm",
        "RUN pip install --no-cache-dir awslambdaric boto3",
        "ENV LAMBDA_TASK_ROOT=/var/task PYTHONPATH=/var/task:/opt/python",
        "WORKDIR /var/task",
        'ENTRYPOINT ["python", "-m", "awslambdaric"]',
    ]
    amazon = [f"FROM public.ecr.aws/lambda/python:{target.python}-x86_64"]
    assert instructions == [
        *(amazon if target.is_amazon_linux_2023 else debian),
        "COPY requirements.txt /tmp/",
        "RUN pip install --no-cache-dir --no-deps --target /opt/python -r /tmp/requirements.txt",
        "COPY worker/ ${LAMBDA_TASK_ROOT}/",
        'CMD ["lithops_magic_worker.handler.handle"]',
    ]
    package = zipfile.ZipFile(io.BytesIO(worker_package()))
    assert {name: (folder / "worker" / name).read_bytes() for name in package.namelist()} == {
        name: package.read(name) for name in package.namelist()
    }
    runtime = yaml.safe_load(told[told.index("  aws_lambda:") :])["aws_lambda"]["runtime"]
    assert f"docker build --platform linux/amd64 --provenance=false -t {runtime} {folder}" in told
    assert Settings(runtime=runtime.replace("ACCOUNT", "1" * 12).replace("REGION", "us-east-1")).problems() == []
    assert main.main(["image", "--out", str(folder / "Dockerfile")]) == 1
    assert "Dockerfile cannot be written: " in capsys.readouterr().err


@pytest.mark.parametrize(
    ("direct", "requirement"),
    [
        (None, "tools==2.0"),
        ({"url": "https://h/t.git", "vcs_info": {"vcs": "git", "commit_id": "a1"}}, "tools @ git+https://h/t.git@a1"),
        ({"url": "https://h/t.whl", "archive_info": {}}, "tools @ https://h/t.whl"),
        ({"url": "https://h/t.whl", "archive_info": {"hash": "sha256=a1"}}, "tools @ https://h/t.whl#sha256=a1"),
        ({"url": "file:///home/me/t.whl", "archive_info": {}}, "tools==2.0"),
    ],
)
def test_where_pip_finds_the_same_again(tmp_path: Path, direct: Any, requirement: str) -> None:
    folder = tmp_path / "tools-2.0.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: tools\nVersion: 2.0\n")
    if direct:
        (folder / "direct_url.json").write_text(json.dumps(direct))
    distribution = Distribution.at(folder)
    assert origin(distribution) == requirement
    assert list(only_here([distribution])) == (["tools"] if direct and "file:" in direct["url"] else [])


def test_an_image_brings_its_packages_and_gets_only_what_is_asked_for(run: Run, local_aws: LocalAws) -> None:
    trust = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole"}]}
    trust["Statement"][0]["Principal"] = {"Service": "lambda.amazonaws.com"}  # type: ignore[index]
    role = local_aws.client("iam").create_role(RoleName="image-role", AssumeRolePolicyDocument=json.dumps(trust))
    settings = Settings(
        local=False,
        region=local_aws.region,
        execution_role=role["Role"]["Arn"],
        endpoint_url=local_aws.endpoint_url,
        access_key_id=local_aws.access_key_id,
        secret_access_key=local_aws.secret_access_key,
        namespace="images",
        runtime=IMAGE,
    )

    def use(text: str) -> object:
        return yaml.safe_load(text)

    before = local_aws.requests().get("lambda:PublishLayerVersion", 0)
    found = []
    for packages in (None, "tabulate"):
        with pytest.raises(InvokeError, match=f"cannot run container images such as {IMAGE}"):
            lithops_magic.map(use, ["1"], settings=settings, packages=packages)
        found.append(
            [entry for entry in local_aws.functions() if entry["FunctionName"].startswith("lithops-magic-images-")]
        )
    assert local_aws.requests().get("lambda:PublishLayerVersion", 0) == before
    assert [entry["PackageType"] for entry in found[1]] == ["Image", "Image"]
    archives = [json.loads(e["Environment"]["Variables"].get("LITHOPS_MAGIC_ARCHIVES", "[]")) for e in found[1]]
    assert sorted(map(len, archives)) == [0, 1]


def test_the_local_aws_takes_the_packages_instead_of_the_image(run: Run) -> None:
    result = run(lambda text: yaml.safe_load(text), ["[1]"], settings=load().replace(runtime=IMAGE))
    assert list(result.succeeded().values()) == [[1]]
    assert any("the local AWS cannot run container images" in note for note in result.snapshot().notes)
