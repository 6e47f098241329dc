"""The connection to an AWS account or to the local AWS: credentials, region and clients."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from functools import cache, cached_property
from typing import TYPE_CHECKING, Any, Literal, overload

from lithops_magic.aws import local_proof, not_aws, observe
from lithops_magic.aws.explain import aws_errors
from lithops_magic.aws.local_server import ensure_local_aws
from lithops_magic.config import Settings, regions
from lithops_magic.errors import ConfigError

if TYPE_CHECKING:
    from boto3.session import Session
    from botocore.config import Config
    from botocore.credentials import Credentials
    from types_boto3_ec2 import EC2Client
    from types_boto3_efs import EFSClient
    from types_boto3_iam import IAMClient
    from types_boto3_lambda import LambdaClient
    from types_boto3_logs import CloudWatchLogsClient
    from types_boto3_s3 import S3Client
    from types_boto3_sts import STSClient

USER_AGENT = "lithops-magic"
NO_CREDENTIALS = (
    "No AWS credentials were found. Set AWS_PROFILE, run `aws configure` or `aws sso login`, or use the local AWS."
)

_FIRST_SERVICES = ("lambda", "iam", "s3", "logs")
"""Services that a first job calls."""

Notify = Callable[[str], None]


def silent(_: str) -> None:
    """Discard notifications."""


class Cloud:
    """Where functions run. Its repr and messages never contain credentials."""

    def __init__(
        self,
        session: Session,
        *,
        region: str,
        endpoint_url: str | None = None,
        account_id: str | None = None,
        is_local: bool = False,
    ) -> None:
        self.region = region
        self.endpoint_url = endpoint_url
        self.is_local = is_local
        self._session = session
        # boto3 has no public API for its botocore session, which knows the CA bundle and the credential providers.
        self._core: Any = session._session
        self._known_account = account_id
        self._clients: dict[str, Any] = {}
        self._lock = threading.Lock()

    @classmethod
    def connect(cls, settings: Settings, notify: Notify = silent) -> Cloud:
        """Connect according to `settings`; starts the local AWS if functions run there and it is not running.

        Raises
        ------
        ConfigError
            The settings have problems, or there are no credentials or no region.
        LocalAWSError
            The local AWS does not start.
        """
        if problems := settings.problems():
            raise ConfigError(" ".join(["The configuration has problems:", *map(str, problems)]))
        return _connect_local(notify) if settings.local else _connect_account(settings)

    @cached_property
    def account_id(self) -> str:
        """The account's twelve digits; asks STS once unless they are in the settings.

        Raises
        ------
        AwsError
            The credentials are invalid.
        """
        if self._known_account is not None:
            return self._known_account
        with aws_errors():
            return self.client("sts").get_caller_identity()["Account"]

    def describe(self) -> str:
        """Describe in one line where functions run, without asking AWS."""
        if self.is_local:
            return f"local AWS at {self.endpoint_url}"
        # The property would ask AWS: take what it has cached, if anything.
        account = self.__dict__.get("account_id", self._known_account)
        parts = ["AWS", account and f"account {account}", f"in {self.region}"]
        if self.endpoint_url:
            parts.append(f"at {self.endpoint_url}")
        return " ".join(filter(None, parts))

    def __repr__(self) -> str:
        return f"<Cloud {self.describe()}>"

    def credentials(self, *, afresh: bool = False) -> Credentials:
        """Return the credentials, which renew themselves if they are of a renewable kind.

        Parameters
        ----------
        afresh
            Look for their source again (environment, files, role): the user may have signed in since.

        Raises
        ------
        ConfigError
            There are none.
        """
        with aws_errors():
            found = self._session.get_credentials()
            # Explicit ones came with the settings: there is no source to look at again.
            if afresh and found is not None and found.method != "explicit":
                found = self._core.get_component("credential_provider").load_credentials()
        if found is None:
            raise ConfigError(NO_CREDENTIALS)
        return found

    def local_secret(self) -> str:
        """Return the local AWS's secret, with which it authenticates itself on new connections; empty elsewhere."""
        return self.credentials().secret_key if self.is_local else ""

    def is_there(self) -> bool:
        """Whether the local AWS is still there: it exits when idle, and another program may take over its port."""
        return not self.is_local or local_proof.answers(self.endpoint_url or "", self.local_secret())

    def shares_cpu(self) -> bool:
        """Whether a function's CPU grows with its memory: always on AWS; on the local AWS only if started that way."""
        return not self.is_local or local_proof.shares_cpu(self.endpoint_url or "", self.local_secret())

    def ca_bundle(self) -> str:
        """Return the file or folder of certificate authorities that boto3 would trust."""
        from botocore.httpsession import get_cert_path

        chosen = self._core.get_config_variable("ca_bundle") or os.environ.get("REQUESTS_CA_BUNDLE")
        return str(chosen or get_cert_path(True))

    # fmt: off
    @overload
    def client(self, service: Literal["lambda"], config: Config | None = None) -> LambdaClient: ...
    @overload
    def client(self, service: Literal["iam"], config: Config | None = None) -> IAMClient: ...
    @overload
    def client(self, service: Literal["sts"], config: Config | None = None) -> STSClient: ...
    @overload
    def client(self, service: Literal["s3"], config: Config | None = None) -> S3Client: ...
    @overload
    def client(self, service: Literal["ec2"], config: Config | None = None) -> EC2Client: ...
    @overload
    def client(self, service: Literal["efs"], config: Config | None = None) -> EFSClient: ...
    @overload
    def client(self, service: Literal["logs"], config: Config | None = None) -> CloudWatchLogsClient: ...
    @overload
    def client(self, service: Literal["cloudwatch"], config: Config | None = None) -> Any: ...
    # fmt: on
    def client(self, service: str, config: Config | None = None) -> Any:
        """Return a boto3 client, the same one each time; with a `config`, a new one."""
        # boto3's sessions are not thread-safe, unlike its clients.
        with self._lock:
            if config is not None:
                return self._new_client(service, config)
            if service not in self._clients:
                self._clients[service] = self._new_client(service, None)
            return self._clients[service]

    def _new_client(self, service: str, config: Config | None) -> Any:
        from botocore.config import Config

        # Set explicitly: botocore 1.44 changed its defaults, and the environment could change them too.
        base = Config(retries={"mode": "standard", "total_max_attempts": 5}, user_agent_extra=USER_AGENT)
        if self.is_local:
            # A proxy from the environment cannot reach this machine's loopback address.
            base = base.merge(Config(proxies={}))
        with aws_errors():
            client = self._session.client(
                service,  # type: ignore[call-overload]
                region_name=self.region,
                endpoint_url=self.endpoint_url,
                config=base if config is None else base.merge(config),
            )
        # Created on first access: two threads would create two sets of classes, and neither would catch the other's.
        _ = client.exceptions
        not_aws.watch(client)
        observe.watch(client)
        if self.is_local:
            local_proof.guard(client, self.local_secret())
        return client


def _connect_local(notify: Notify) -> Cloud:
    isolated: list[Any] = []
    server = ensure_local_aws(notify, lambda: isolated.append(_prepared()))
    import boto3

    session = boto3.Session(
        aws_access_key_id=server.access_key_id,
        aws_secret_access_key=server.secret_access_key,
        region_name=server.region,
        botocore_session=isolated[0],
    )
    return Cloud(
        session,
        region=server.region,
        endpoint_url=server.endpoint_url,
        account_id=server.account_id,
        is_local=True,
    )


def _prepared() -> Any:
    """Return a botocore session, prepared while the local AWS starts."""
    import awscrt.http  # noqa: F401
    import boto3.session  # noqa: F401
    import botocore.session

    # The user's profile and AWS files do not apply to the local AWS.
    isolated = botocore.session.Session(
        session_vars={"profile": (None, None, None, None), "config_file": (None, None, None, None)}
    )
    isolated.register_component("data_loader", _models())
    return isolated


@cache
def _models() -> Any:
    """Return botocore's loader with a first job's service models, shared by all connections: parsing takes long."""
    from botocore.loaders import create_loader

    loader = create_loader()
    for service in _FIRST_SERVICES:
        loader.load_service_model(service, "service-2", api_version=None)
    return loader


def _connect_account(settings: Settings) -> Cloud:
    import boto3

    with aws_errors():
        session = boto3.Session(
            aws_access_key_id=settings.access_key_id,
            aws_secret_access_key=settings.secret_access_key,
            aws_session_token=settings.session_token,
            # Whatever is None, boto3 finds by itself: in the environment, the profile or the instance's metadata.
            region_name=settings.region,
            profile_name=settings.profile,
        )
        if session.get_credentials() is None:
            raise ConfigError(NO_CREDENTIALS)
    return Cloud(
        session,
        region=_region(session, settings),
        endpoint_url=settings.endpoint_url,
        account_id=settings.account_id,
    )


def _region(session: Session, settings: Settings) -> str:
    region = session.region_name
    if not region:
        raise ConfigError("No AWS region is set. Set region in the aws_lambda section, or AWS_REGION.")
    if settings.endpoint_url is None and regions.is_unknown(region):
        raise ConfigError(f"{region!r} is not a region that boto3 knows. {regions.advice(region)}")
    return region
