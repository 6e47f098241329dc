"""How requests reach the service: endpoint and signature as resolved by botocore, TLS, proxy and sockets."""

from __future__ import annotations

import os
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import SplitResult, parse_qs, unquote, urlsplit
from weakref import WeakKeyDictionary

from lithops_magic.aws.explain import aws_errors
from lithops_magic.aws.local_proof import PATH, Challenge, NotOurs
from lithops_magic.aws.session import USER_AGENT, Cloud

if TYPE_CHECKING:
    from awscrt.http import HttpClientConnection, HttpProxyOptions
    from awscrt.io import ClientTlsContext, TlsConnectionOptions
    from types_boto3_lambda import LambdaClient

CONNECT_SECONDS = 10
"""Timeout of a TCP connection; the TLS handshake has the same, by awscrt's own limit."""
KEEPALIVE_SECONDS = 45
"""Seconds between keep-alive probes: NAT gateways drop idle connections after 350 s, some home routers after 60 s."""

SPARE_FILES = 512
"""Open files and sockets left to the rest of the process, but at most a quarter of all."""


@dataclass(frozen=True, slots=True)
class InvokeTarget:
    """Where the function is invoked, and what requests are signed for."""

    url: SplitResult
    region: str
    service: str
    user_agent: str
    proxy: SplitResult | None
    ca_bundle: str
    asynchronous: bool = False
    """Whether AWS only queues the request and runs it later."""
    secret: str = field(default="", repr=False)
    """Secret with which the local AWS authenticates itself on new connections; empty for AWS, which has TLS."""

    @classmethod
    def resolve(cls, cloud: Cloud, function_name: str, *, asynchronous: bool = False) -> InvokeTarget:
        """Resolve through botocore, which handles partitions, FIPS, dual-stack, private endpoints and user settings.

        Raises
        ------
        AwsError
            There is no such endpoint, or there are no credentials.
        """
        client = cloud.client("lambda")
        url, region, service = _address(client, function_name)
        return cls(
            url=url,
            region=region,
            service=service,
            user_agent=f"{client.meta.config.user_agent} {USER_AGENT}",  # type: ignore[attr-defined]
            proxy=_proxy(client.meta.config.proxies, url),  # type: ignore[attr-defined]
            ca_bundle=cloud.ca_bundle(),
            asynchronous=asynchronous,
            secret=cloud.local_secret(),
        )

    @property
    def headers(self) -> dict[str, str]:
        """The signed headers of every request, in lowercase."""
        kind = {"x-amz-invocation-type": "Event"} if self.asynchronous else {"x-amz-log-type": "Tail"}
        return {"content-type": "application/octet-stream", "host": self.url.netloc, **kind}

    @property
    def address(self) -> str:
        """The host as the user knows it, plus any proxy, because either may be at fault."""
        if self.proxy is None:
            return self.url.netloc
        # Not `netloc`, which may contain a password.
        return f"{self.url.netloc} (through the proxy {self.proxy.hostname})"

    @property
    def secure(self) -> bool:
        """Whether TLS is used."""
        return self.url.scheme == "https"

    @property
    def host(self) -> str:
        """Host name or address, without brackets."""
        return self.url.hostname or ""

    @property
    def port(self) -> int:
        """The URL's port, or the scheme's default."""
        return self.url.port or (443 if self.secure else 80)


Address = tuple[SplitResult, str, str]
_addresses: WeakKeyDictionary[LambdaClient, dict[str, Address]] = WeakKeyDictionary()


def _address(client: LambdaClient, function_name: str) -> Address:
    """Return a function's URL, and the region and service to sign for.

    They are remembered as long as the client is in use, because it takes a millisecond.
    """
    known = _addresses.setdefault(client, {})
    if function_name not in known:
        known[function_name] = _find_address(client, function_name)
    return known[function_name]


def _find_address(client: LambdaClient, function_name: str) -> Address:
    with aws_errors():
        # Presigning a URL gives exactly what Invoke would use, without sending anything.
        url = urlsplit(client.generate_presigned_url("invoke", Params={"FunctionName": function_name}))
    scope = parse_qs(url.query)["X-Amz-Credential"][0].split("/")
    return url._replace(query=""), scope[-3], scope[-2]


class Dialer:
    """Opens connections to a target, on one event-loop thread that ends once this and all connections are gone."""

    def __init__(self, target: InvokeTarget) -> None:
        from awscrt import io

        # Measured: one thread sends more than 10,000 requests a second.
        group = io.EventLoopGroup(num_threads=1)
        self._bootstrap = io.ClientBootstrap(group, io.DefaultHostResolver(group))
        self._target = target
        self._sockets = io.SocketOptions()
        self._sockets.connect_timeout_ms = CONNECT_SECONDS * 1000
        self._sockets.keep_alive = True
        self._sockets.keep_alive_timeout_secs = KEEPALIVE_SECONDS
        self._sockets.keep_alive_interval_secs = KEEPALIVE_SECONDS
        # So a peer that vanished is noticed after about four minutes, long before a 15-minute function's deadline.
        self._sockets.keep_alive_max_probes = 4
        self._tls = _tls(target.ca_bundle, target.host) if target.secure else None
        self._proxy = _proxy_options(target) if target.proxy else None

    def open(self) -> Future[HttpClientConnection]:
        """Start opening a connection; the local AWS must authenticate itself on it before anything else is sent."""
        opening = self._open()
        if not self._target.secret:
            return opening
        proved: Future[HttpClientConnection] = Future()
        opening.add_done_callback(partial(_challenge, self._target, proved))
        return proved

    def _open(self) -> Future[HttpClientConnection]:
        from awscrt.http import HttpClientConnection

        opening: Future[HttpClientConnection] = HttpClientConnection.new(
            self._target.host, self._target.port, self._bootstrap, self._sockets, self._tls, self._proxy
        )
        return opening


def _challenge(
    target: InvokeTarget, proved: Future[HttpClientConnection], opening: Future[HttpClientConnection]
) -> None:
    """Request the proof; `proved` receives the connection once the proof has arrived."""
    from awscrt.http import HttpHeaders, HttpRequest

    try:
        connection = opening.result()
        challenge = Challenge(target.secret)
        answer: dict[str, str] = {}

        def on_response(headers: list[tuple[str, str]], **_: object) -> None:
            answer.update((name.lower(), value) for name, value in headers)

        def on_end(completion: Future[int]) -> None:
            if completion.exception() is None and challenge.is_met(answer.get("x-local-proof", "")):
                proved.set_result(connection)
            else:
                connection.close()
                proved.set_exception(completion.exception() or NotOurs())

        headers = HttpHeaders([("host", target.url.netloc), *challenge.headers.items()])
        stream = connection.request(HttpRequest("GET", PATH, headers), on_response)
        stream.completion_future.add_done_callback(on_end)
        stream.activate()
    except Exception as error:  # the connection failed, or was closed immediately
        proved.set_exception(error)


def allow_sockets(number: int) -> int:
    """Let this process hold that many connections (the usual soft limit is 1,024), and return how many it can hold."""
    try:
        import resource
    except ImportError:  # Windows, which has no such limit
        return number
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return number
    # Descriptors of the notebook itself count too: the limit is the process's.
    held = len(os.listdir("/dev/fd"))  # noqa: PTH208 - names are all it takes
    wanted = held + number + SPARE_FILES
    if soft < wanted:
        most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        soft = max(soft, most)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return max(1, min(number, soft - held - min(SPARE_FILES, soft // 4)))


def _proxy(configured: dict[str, str] | None, url: SplitResult) -> SplitResult | None:
    from botocore.utils import get_environ_proxies

    # As botocore does: an empty configuration means no proxy, and only without one does the environment count.
    proxies = get_environ_proxies(url.geturl()) if configured is None else configured
    address = proxies.get(url.scheme)
    if not address:
        return None
    return urlsplit(address if "://" in address else f"http://{address.removeprefix('//')}")


def _proxy_options(target: InvokeTarget) -> HttpProxyOptions:
    from awscrt.http import HttpProxyAuthenticationType, HttpProxyConnectionType, HttpProxyOptions

    proxy = target.proxy
    assert proxy is not None
    host, secure = proxy.hostname or "", proxy.scheme == "https"
    authenticated = proxy.username is not None
    return HttpProxyOptions(
        host,
        proxy.port or (443 if secure else 80),
        _tls(target.ca_bundle, host) if secure else None,
        HttpProxyAuthenticationType.Basic if authenticated else HttpProxyAuthenticationType.Nothing,
        unquote(proxy.username or "") if authenticated else None,
        unquote(proxy.password or "") if authenticated else None,
        # Through a tunnel (CONNECT), the proxy sees neither the signed headers nor the payload.
        HttpProxyConnectionType.Tunneling if target.secure else HttpProxyConnectionType.Forwarding,
    )


def _tls(ca_bundle: str, host: str) -> TlsConnectionOptions:
    path = Path(ca_bundle)
    context = _folder_context(ca_bundle) if path.is_dir() else _context(path.read_bytes())
    options = context.new_connection_options()
    options.set_server_name(host)
    return options


@lru_cache(maxsize=4)
def _context(authorities: bytes) -> ClientTlsContext:
    """Return a TLS context shared by all connections: loading the certificate authorities takes 30 ms.

    It is cached by the contents of their file, so that a file replaced during the session is used by the next job.
    """
    from awscrt.io import ClientTlsContext, TlsContextOptions

    options = TlsContextOptions()
    options.override_default_trust_store(authorities)
    return ClientTlsContext(options)


@lru_cache(maxsize=4)
def _folder_context(folder: str) -> ClientTlsContext:
    from awscrt.io import ClientTlsContext, TlsContextOptions

    options = TlsContextOptions()
    options.override_default_trust_store_from_path(ca_dirpath=folder)
    return ClientTlsContext(options)
