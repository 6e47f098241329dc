"""What a wheel must match: Python version, processor and C library of a Lambda runtime."""

from __future__ import annotations

import platform
import sys
from dataclasses import dataclass
from typing import cast

from packaging.markers import default_environment

AMAZON_LINUX_2023 = 12
"""First Python 3 minor whose runtime is Amazon Linux 2023 (AWS Lambda developer guide, "Lambda runtimes")."""

_MACHINES = {"x86_64": "x86_64", "arm64": "aarch64"}

SDK = frozenset({"boto3", "botocore", "s3transfer", "jmespath"})
"""Distributions of AWS's SDK for Python, whose version on Lambda differs by region and date."""

PROVIDED = SDK | {"awslambdaric", "cloudpickle"}
"""Distributions that every function has: those of the runtime, and the worker's cloudpickle."""


@dataclass(frozen=True, slots=True)
class Target:
    """A runtime of AWS Lambda."""

    minor: int
    """Minor version of Python 3."""
    architecture: str
    """``x86_64`` or ``arm64``, as Lambda calls them."""
    here: bool = False
    """Whether it is this machine, because its local AWS cannot run Lambda's builds."""
    image: bool = False
    """Whether it is a container image yet to be built, which may have a newer system than Lambda's own."""

    @classmethod
    def of(cls, architecture: str, *, local: bool = False) -> Target:
        """Return the target for this notebook's Python, on Lambda or on the local AWS."""
        alike = sys.platform == "linux" and platform.machine() == _MACHINES[architecture]
        return cls(sys.version_info.minor, architecture, here=local and not alike)

    @property
    def python(self) -> str:
        """Such as ``3.12``."""
        return f"3.{self.minor}"

    @property
    def machine(self) -> str:
        """The processor under its Linux name."""
        return _MACHINES[self.architecture]

    @property
    def is_amazon_linux_2023(self) -> bool:
        """Whether the runtime has Amazon Linux 2023; earlier runtimes have Amazon Linux 2, and images Debian 12."""
        return self.minor >= AMAZON_LINUX_2023

    @property
    def image_is_newer(self) -> bool:
        """Whether a container image for it has a newer C library."""
        return not self.is_amazon_linux_2023 and not self.image

    @property
    def glibc(self) -> str:
        """Version of the C library: Amazon Linux 2 has 2.26, Amazon Linux 2023 has 2.34, Debian 12 has 2.36."""
        if self.is_amazon_linux_2023:
            return "2.34"
        return "2.36" if self.image else "2.26"

    @property
    def uv_platform(self) -> str:
        """uv's newest platform whose wheels all run there; empty for this machine, which uv detects."""
        return "" if self.here else self._manylinux("2.17" if self._is_in_gap else self.glibc)

    @property
    def next_uv_platform(self) -> str:
        """uv's next platform, if only some of its wheels run there; else empty.

        uv has none between glibc 2.17 and 2.28.
        """
        return self._manylinux("2.28") if self._is_in_gap and not self.here else ""

    @property
    def _is_in_gap(self) -> bool:
        return self.glibc == "2.26"

    def _manylinux(self, glibc: str) -> str:
        return f"{_MACHINES[self.architecture]}-manylinux_{glibc.replace('.', '_')}"

    def describe(self) -> str:
        """Describe it for people."""
        if self.here:
            return f"Python {self.python} on this machine"
        whose = "an image's" if self.image else "Lambda's"
        return f"{whose} Python {self.python} ({self.architecture}, glibc {self.glibc})"

    def environment(self) -> dict[str, str]:
        """Return the values of environment markers there (PEP 508)."""
        if self.here:
            return {**cast("dict[str, str]", default_environment()), "extra": ""}
        full = platform.python_version() if sys.version_info.minor == self.minor else f"{self.python}.0"
        return {
            "implementation_name": "cpython",
            "implementation_version": full,
            "os_name": "posix",
            "platform_machine": _MACHINES[self.architecture],
            "platform_python_implementation": "CPython",
            "platform_release": "",
            "platform_system": "Linux",
            "platform_version": "",
            "python_full_version": full,
            "python_version": self.python,
            "sys_platform": "linux",
            "extra": "",
        }
