"""The folder from which a Lambda container image is built: base image, packages, worker."""

from __future__ import annotations

import hashlib
import io
import json
import re
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from importlib.metadata import Distribution
from pathlib import Path
from urllib.parse import quote, urlsplit
from urllib.request import url2pathname

from packaging.utils import canonicalize_name

from lithops_magic.aws.definition import HANDLER
from lithops_magic.engine.backend.deployment_package import worker_package
from lithops_magic.errors import PackageError
from lithops_magic.packages import Target
from lithops_magic.packages.distributions import is_from_files
from lithops_magic.packages.metadata import archive_hash, direct_url, name_of, version_of
from lithops_magic.packages.resolution import Resolution

DOCKERFILE = """\
# Runs tasks of lithops-magic on AWS Lambda: {target}. Written by `lithops-magic image`.
{base}

# In place of layers: on the path before the runtime's own packages.
COPY {requirements} /tmp/
{wheels}{installs}

# Last, so that a new worker does not invalidate the cached installs.
COPY worker/ ${{LAMBDA_TASK_ROOT}}/
CMD ["{handler}"]
"""

AMAZON = """\
FROM public.ecr.aws/lambda/python:{python}-{architecture}

# System libraries go here, such as: RUN dnf install -y libgomp
"""

DEBIAN = """\
# AWS's own image of this Python has a C library from 2017, which many packages no longer support.
FROM public.ecr.aws/docker/library/python:{python}-slim-bookworm

# System libraries go here, such as: RUN apt-get update && apt-get install -y libgomp1

# As in AWS's own image: the runtime's client, and the search path for layers and code.
RUN pip install --no-cache-dir awslambdaric boto3
ENV LAMBDA_TASK_ROOT=/var/task PYTHONPATH=/var/task:/opt/python
WORKDIR /var/task
ENTRYPOINT ["python", "-m", "awslambdaric"]
"""

INSTALL = "RUN pip install --no-cache-dir --no-deps --target /opt/python -r /tmp/{}"
WHEELS = "wheels"
_AT_FILE = re.compile(r"file://\S+")
HASHED = "hashed.txt"
"""Requirements with hashes, in a file of their own: once pip sees one hash, it requires one for everything."""

PLATFORMS = {"x86_64": "linux/amd64", "arm64": "linux/arm64"}
"""Docker's names for Lambda's architectures."""


def image_files(resolution: Resolution, target: Target) -> dict[str, bytes]:
    """Return the folder's files by name, including wheels of this machine.

    Raises
    ------
    PackageError
        A package is a folder of this machine, from which only a wheel can be built.
    """
    wheels = dict(_wheels(resolution.fetched))
    pins = (_AT_FILE.sub(_in_image, pin) for pin in resolution.fetched.values())
    fetched = resolution.hashes.lines(pins)
    hashed = sorted(line for line in fetched if " --hash=" in line)
    lines = sorted([*set(fetched).difference(hashed), *(origin(part.distribution) for part in resolution.copied)])
    requirements = {"requirements.txt": lines, **({HASHED: hashed} if hashed else {})}
    base = (AMAZON if target.is_amazon_linux_2023 else DEBIAN).format(
        python=target.python, architecture=target.architecture
    )
    dockerfile = DOCKERFILE.format(
        target=target.describe(),
        base=base,
        handler=HANDLER,
        requirements=" ".join(requirements),
        wheels=f"COPY {WHEELS}/ /tmp/{WHEELS}/\n" if wheels else "",
        installs="\n".join(INSTALL.format(name) for name, lines in requirements.items() if lines),
    )
    with zipfile.ZipFile(io.BytesIO(worker_package())) as package:
        worker = {f"worker/{name}": package.read(name) for name in package.namelist()}
    texts = {name: "".join(f"{line}\n" for line in lines).encode() for name, lines in requirements.items()}
    return {"Dockerfile": dockerfile.encode(), **texts, **wheels, **worker}


def _wheels(pins: Mapping[str, str]) -> Iterator[tuple[str, bytes]]:
    for name, pin in pins.items():
        if at := _AT_FILE.search(pin):
            path = _path(at)
            if not path.is_file():
                raise PackageError(
                    f"{name} is the folder {path}, which an image build cannot see: build a wheel of it (`uv build "
                    "--wheel`) and pass that."
                )
            yield f"{WHEELS}/{path.name}", path.read_bytes()


def _in_image(at: re.Match[str]) -> str:
    return f"file:///tmp/{WHEELS}/{quote(_path(at).name)}"


def _path(at: re.Match[str]) -> Path:
    return Path(url2pathname(urlsplit(at[0]).path))


def write(files: Mapping[str, bytes], folder: Path) -> None:
    """Write the files below `folder`; other files there are left alone."""
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


def tag(files: Mapping[str, bytes], target: Target) -> str:
    """Return a tag that changes with the contents: Lambda resolves an image only once, when the function is created."""
    digest = hashlib.sha256(json.dumps([[name, data.hex()] for name, data in sorted(files.items())]).encode())
    return f"python{target.python}-{digest.hexdigest()[:12]}"


def origin(distribution: Distribution) -> str:
    """Return the requirement with which pip gets the identical distribution: from an index, repository or URL."""
    direct = direct_url(distribution)
    name = canonicalize_name(name_of(distribution))
    if vcs := direct.get("vcs_info"):
        return f"{name} @ {vcs['vcs']}+{direct['url']}@{vcs['commit_id']}"
    if "archive_info" in direct and not direct["url"].startswith("file:"):
        digest = archive_hash(distribution)
        return f"{name} @ {direct['url']}{'#sha256=' + digest if digest else ''}"
    return f"{name}=={version_of(distribution)}"


def only_here(distributions: Iterable[Distribution]) -> Iterator[str]:
    """Yield the names of those installed from local files, which an image build cannot find."""
    for distribution in distributions:
        if is_from_files(distribution):
            yield name_of(distribution)
