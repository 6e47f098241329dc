"""botocore's exceptions in our words: one line that says what to do and never contains credentials."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from lithops_magic.aws import not_aws
from lithops_magic.aws.clock import clock_error
from lithops_magic.errors import AwsError, ConfigError, LithopsMagicError

PERMISSION = "Ask whoever manages the account for this permission."
SIGN_IN = "Sign in again, for example with `aws sso login`, and retry."
WRONG_KEYS = "Check the credentials (profile, environment or the aws section) and this machine's clock."

_BUSY = "If it continues for minutes, check the proxy (HTTPS_PROXY), the VPN and endpoint_url."

ADVICE = {
    **dict.fromkeys(("500", "502", "503", "504"), _BUSY),
    "AccessDenied": PERMISSION,
    "AccessDeniedException": PERMISSION,
    "UnauthorizedOperation": PERMISSION,
    "AuthFailure": WRONG_KEYS,
    "ExpiredToken": SIGN_IN,
    "ExpiredTokenException": SIGN_IN,
    "RequestExpired": "This machine's clock is wrong: set it and retry.",
    "IncompleteSignature": WRONG_KEYS,
    "InvalidAccessKeyId": WRONG_KEYS,
    "InvalidClientTokenId": WRONG_KEYS,
    "InvalidSignatureException": WRONG_KEYS,
    "SignatureDoesNotMatch": WRONG_KEYS,
    "UnrecognizedClientException": WRONG_KEYS,
    "CodeStorageExceededException": "Delete functions or layer versions that are no longer used in this region.",
    "ThrottlingException": "AWS throttles these calls: try again in a minute.",
    "TooManyRequestsException": "AWS throttles these calls: try again in a minute.",
    "ServiceException": "AWS has an internal fault: try again in a minute.",
}
"""What to do about an AWS error code."""

ADVICE_BY_TEXT = {
    "combined with layers exceeds": "Take layers out of the configuration, or ship fewer packages (--packages).",
    "Source image": "Push the image (`lithops-magic image` says how), or correct runtime.",
    "permission to access the ECR image": "Let lambda.amazonaws.com read it in the ECR repository's policy.",
}
"""What to do about an error whose code is too general: by part of AWS's message."""

NOT_CONFIGURED = {
    "NoCredentialsError": "Set AWS_PROFILE, run `aws configure` or `aws sso login`, or use the local AWS.",
    "PartialCredentialsError": "Give both the access key id and the secret access key.",
    "ProfileNotFound": "Correct the profile, or create it with `aws configure --profile`.",
    "NoRegionError": "Set region in the aws_lambda section, or AWS_REGION.",
    "InvalidRegionError": "Write the region like us-east-1.",
    "ConfigParseError": "Correct that file.",
    "InvalidConfigError": "Correct the AWS configuration file.",
    "InfiniteLoopConfigError": "Correct source_profile in the AWS configuration file.",
}
"""botocore exceptions that indicate a wrong configuration: by name, because botocore is imported only when needed."""

FAILED = {
    "UnauthorizedSSOTokenError": SIGN_IN,
    "SSOTokenLoadError": SIGN_IN,
    "TokenRetrievalError": SIGN_IN,
    "CredentialRetrievalError": "Check how this profile gets its credentials.",
    "EndpointConnectionError": "Check the network, the region and endpoint_url.",
    "ConnectTimeoutError": "Check the network and its firewall.",
    "ProxyConnectionError": "Check the proxy.",
    "SSLError": "Check the network's certificates (AWS_CA_BUNDLE).",
    "ReadTimeoutError": "Check the network and retry.",
    "ConnectionClosedError": "Check the network and retry.",
}
"""What to do about other botocore exceptions."""

_SECRET = re.compile(r"\b(?:AKIA|ASIA)[A-Z0-9]{12,}\b|(?<=Credential=)[^\s,/]+|(?<=Security-Token[:=])\S+")


def one_line(text: str) -> str:
    """Join lines and hide access keys."""
    return _SECRET.sub("****", " ".join(text.split()))


def sentence(text: str) -> str:
    """Return the text on one line, ending with a period."""
    text = one_line(text)
    return text if text.endswith((".", "!", "?", ":")) else f"{text}."


@contextmanager
def aws_errors(kind: type[AwsError] = AwsError) -> Iterator[None]:
    """Convert every botocore exception to ours.

    Raises
    ------
    ConfigError
        There are no credentials, no such profile, or no region.
    AwsError
        Anything else, as `kind`.
    """
    from botocore.exceptions import BotoCoreError, ClientError
    from botocore.parsers import ResponseParserError

    try:
        yield
    except (BotoCoreError, ClientError, ResponseParserError) as error:
        raise explain(error, kind) from None
    except KeyError as error:
        # botocore does not check the length of a reply: a truncated one that it cannot parse becomes an empty one.
        raise kind(
            f"AWS's response has no {error}, as if it were truncated. {FAILED['ConnectionClosedError']}"
        ) from None


def explain(error: Exception, kind: type[AwsError] = AwsError) -> LithopsMagicError:
    """Return our error for a botocore exception."""
    from botocore.exceptions import ClientError

    if isinstance(error, ClientError):
        code = str(error.response.get("Error", {}).get("Code", ""))
        text = str(error.response.get("Error", {}).get("Message", "") or "AWS gave no reason")
        if not_aws.is_page(text.encode()):
            status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
            return kind(not_aws.describe(f"{error.operation_name}: the server", status, text), code="NotAws")
        skew = clock_error(code, error.response.get("ResponseMetadata", {}).get("HTTPHeaders", {}))
        by_text = (advice for part, advice in ADVICE_BY_TEXT.items() if part in text)
        advice = f"{skew} Set it and retry." if skew else ADVICE.get(code) or next(by_text, "")
        return kind(f"{error.operation_name}: {code}: {sentence(text)} {advice}".rstrip(), code=code)
    # Unlike botocore's other exceptions, it is not a BotoCoreError.
    if type(error).__name__ == "ResponseParserError":
        # Its text would contain the entire reply.
        text = "The response is not AWS's: it is not in the service's format."
        return kind(f"{text} {not_aws.ADVICE}", code="NotAws")
    for name in [base.__name__ for base in type(error).__mro__]:
        if name in NOT_CONFIGURED:
            return ConfigError(f"{sentence(str(error))} {NOT_CONFIGURED[name]}")
        if name in FAILED:
            return kind(f"{sentence(str(error))} {FAILED[name]}", code=name)
    return kind(sentence(str(error)), code=type(error).__name__)
