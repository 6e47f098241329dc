"""The command `image`: writes the folder from which a container image is built, with Docker or another tool."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lithops_magic.errors import ConfigError

if TYPE_CHECKING:
    from lithops_magic.config import Settings
    from lithops_magic.packages import Need

REPOSITORY = "lithops-magic"


def register(commands: Any) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser("image", help="write a Dockerfile with the worker and the packages that are needed")
    parser.add_argument(
        "notebook", type=Path, nargs="?", metavar="FILE.ipynb", help="install the packages that its mapped cells need"
    )
    parser.add_argument("--packages", metavar="WORDS", help="more packages: names, pins, wheels or a requirements file")
    parser.add_argument(
        "-o", "--out", type=Path, default=Path("lambda-image"), metavar="FOLDER", help="folder to write (lambda-image)"
    )
    parser.set_defaults(run=_write)


def _write(options: argparse.Namespace) -> int:
    from lithops_magic import config
    from lithops_magic.engine.backend.container_image import image_files, only_here, tag, write
    from lithops_magic.packages import Target, pin, union

    settings = config.load()
    target = replace(Target.of(settings.architecture), image=True)
    resolution = pin(union(_needs(options)), target)
    files = image_files(resolution, target)
    try:
        write(files, options.out)
    except OSError as error:
        raise ConfigError(f"{options.out} cannot be written: {error.strerror}.") from None
    count = sum(data.count(b"\n") for name, data in files.items() if name.endswith(".txt"))
    print(f"Wrote {options.out}: Dockerfile, requirements.txt ({count} package{'s' * (count != 1)}) and the worker.")
    notes = [*resolution.notes, *_wheels_to_copy(only_here(part.distribution for part in resolution.copied))]
    print("".join(f"Note: {note}\n" for note in notes), end="")
    print("\n".join(_steps(settings, options.out, tag(files, target))))
    return 0


def _needs(options: argparse.Namespace) -> Iterator[Need]:
    from lithops_magic.cli.notebook import needs_of_notebook
    from lithops_magic.packages import Request, need_of

    if options.notebook is not None:
        yield from (need for _, need in needs_of_notebook(options.notebook))
    yield need_of({}, Request.parse(options.packages))


def _wheels_to_copy(names: Iterator[str]) -> Iterator[str]:
    for name in names:
        yield f"{name} was installed from files of this machine: copy its wheel into the folder and name it there"


def _steps(settings: Settings, folder: Path, tag: str) -> Iterator[str]:
    from lithops_magic.engine.backend.container_image import PLATFORMS

    region, account = settings.region or "REGION", settings.account_id or "ACCOUNT"
    registry = f"{account}.dkr.ecr.{region}.amazonaws.com"
    image = f"{registry}/{REPOSITORY}:{tag}"
    login = f"docker login --username AWS --password-stdin {registry}"
    yield "Build and push it:"
    yield f"  aws ecr create-repository --repository-name {REPOSITORY} --region {region}"
    yield f"  aws ecr get-login-password --region {region} | {login}"
    # Lambda rejects images with attestations.
    yield f"  docker build --platform {PLATFORMS[settings.architecture]} --provenance=false -t {image} {folder}"
    yield f"  docker push {image}"
    yield "and name it in Lithops' configuration:"
    yield "  aws_lambda:"
    yield f"      runtime: {image}"
