"""The text that `serve` prints when it is ready."""

from __future__ import annotations

from lithops_magic.local.discovery import Discovery
from lithops_magic.local.server import Options


def banner(found: Discovery, options: Options, note: str) -> str:
    """Return how to reach the server; it holds the secret, for the owner's terminal only."""
    kept = f"persisted in {options.state} (except CloudWatch logs)" if options.state else "discarded on exit"
    lines = [
        "",
        f"Local AWS at {found.endpoint_url}: lambda, s3, iam, sts, ec2, efs, logs",
        f"{found.workers} workers; state {kept}",
        *([note] if note else []),
        "",
        f"export AWS_ENDPOINT_URL={found.endpoint_url}",
        f"export AWS_ACCESS_KEY_ID={found.access_key_id}",
        f"export AWS_SECRET_ACCESS_KEY={found.secret_access_key}",
        f"export AWS_DEFAULT_REGION={found.region}",
        "",
        "boto3 and the AWS CLI reach it in a shell with these lines; notebooks find it automatically. Ctrl-C stops it.",
    ]
    return "\n".join(lines)
