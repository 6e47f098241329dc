"""Names and ARNs of functions and layers, in every form the Lambda API accepts."""

from __future__ import annotations

import re
from dataclasses import dataclass

from lithops_magic.local.model import ServiceError

LOCAL_ROLE = "lithops-magic-local"
"""An execution role that is there from the start, so that a first function need not wait for IAM."""

LATEST = "$LATEST"

_FUNCTION = re.compile(
    r"(?:arn:[a-z-]+:lambda:)?(?:(?P<region>[a-z]{2}[a-z-]*-\d):)?(?:(?P<account>\d{12}):)?(?:function:)?"
    r"(?P<name>[A-Za-z0-9_.-]+)(?::(?P<qualifier>\$?[A-Za-z0-9_.-]+))?"
)
_LAYER = re.compile(
    r"arn:[a-z-]+:lambda:(?P<region>[^:]+):(?P<account>\d{12}):layer:(?P<name>[^:]+)(?::(?P<version>\d+))?"
)


@dataclass(frozen=True, slots=True)
class Account:
    """The one account and region this service serves."""

    region: str
    account: str

    def function_arn(self, name: str, qualifier: str | None = None) -> str:
        arn = f"arn:aws:lambda:{self.region}:{self.account}:function:{name}"
        return f"{arn}:{qualifier}" if qualifier else arn

    def role_arn(self, name: str) -> str:
        return f"arn:aws:iam::{self.account}:role/{name}"

    def layer_arn(self, name: str, version: int | None = None) -> str:
        arn = f"arn:aws:lambda:{self.region}:{self.account}:layer:{name}"
        return f"{arn}:{version}" if version is not None else arn

    def split_function(self, name_or_arn: str, qualifier: str | None = None) -> tuple[str, str | None]:
        """Return the plain name and the qualifier, which may come inside the ARN or separately.

        Raises
        ------
        ServiceError
            Another region or account, or two qualifiers that differ.
        """
        match = _FUNCTION.fullmatch(name_or_arn)
        if match is None:
            raise not_found(self.function_arn(name_or_arn, qualifier))
        self._check_home(match["region"], match["account"])
        inner = match["qualifier"]
        if inner and qualifier and inner != qualifier:
            raise invalid("The derived qualifier from the function name does not match the specified qualifier.")
        return match["name"], qualifier or inner

    def split_layer(self, name_or_arn: str) -> tuple[str, int | None]:
        """Return the layer's plain name and, if the ARN has one, its version."""
        match = _LAYER.fullmatch(name_or_arn)
        if match is None:
            return name_or_arn, None
        self._check_home(match["region"], match["account"])
        return match["name"], int(match["version"]) if match["version"] else None

    def _check_home(self, region: str | None, account: str | None) -> None:
        if region and region != self.region:
            text = f"Functions from '{region}' are not reachable in this region ('{self.region}')"
            raise resource_not_found(text)
        if account and account != self.account:
            raise ServiceError("AccessDeniedException", "", status=403)


def invalid(message: str, *, typed: bool = True) -> ServiceError:
    """Return AWS's error for a parameter that is well formed but not acceptable."""
    return ServiceError("InvalidParameterValueException", message, typed=typed)


def resource_not_found(message: str) -> ServiceError:
    return ServiceError("ResourceNotFoundException", message, status=404)


def not_found(arn: str) -> ServiceError:
    """Return the error for a function, version or alias that does not exist."""
    return resource_not_found(f"Function not found: {arn}")


def conflict(message: str) -> ServiceError:
    return ServiceError("ResourceConflictException", message, status=409)
