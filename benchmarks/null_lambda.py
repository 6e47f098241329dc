"""A Lambda service that runs nothing: nginx over TLS immediately answers every Invoke as a worker would."""

from __future__ import annotations

import base64
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

MODULE = Path("/usr/lib/nginx/modules/ngx_http_echo_module.so")
"""Part of Debian's nginx-light."""
FUNCTION = "null"
IDENTITY = (
    '<GetCallerIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><GetCallerIdentityResult>'
    "<Arn>arn:aws:iam::123456789012:user/null</Arn><UserId>AIDAEXAMPLE</UserId><Account>123456789012</Account>"
    "</GetCallerIdentityResult></GetCallerIdentityResponse>"
)
"""STS's answer, from which the bucket's owner is taken."""

_LOG = (
    "START RequestId: 8a1f4e0e-3c1b-4a44-9d6e-0c2f3a4b5c6d Version: $LATEST\n"
    "END RequestId: 8a1f4e0e-3c1b-4a44-9d6e-0c2f3a4b5c6d\n"
    "REPORT RequestId: 8a1f4e0e-3c1b-4a44-9d6e-0c2f3a4b5c6d\tDuration: 1.23 ms\tBilled Duration: 2 ms\t"
    "Memory Size: 1769 MB\tMax Memory Used: 40 MB\t\n"
)
_CONFIGURATION = """
load_module %(module)s;
worker_processes 1; daemon off; pid nginx.pid; error_log stderr error;
events { worker_connections 8192; }
http {
  access_log off; keepalive_requests 100000000; keepalive_timeout 600;
  client_body_buffer_size 1m; client_max_body_size 8m;
  client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi; uwsgi_temp_path uwsgi;
  scgi_temp_path scgi;
  # A worker's reply names its task: the only thing in it that changes.
  map $request_body $task { default 0; "~\\"id\\":(?<id>[0-9]+)" $id; }
  server {
    listen 127.0.0.1:%(port)d ssl backlog=4096;
    ssl_certificate certificate.pem; ssl_certificate_key key.pem;
    default_type application/json;
    location = / {
      default_type text/xml;
      return 200 '%(identity)s';
    }
    location / {
      return 200 '{"AccountLimit":{"UnreservedConcurrentExecutions":1000},"Configuration":{"FunctionName":"null",
        "FunctionArn":"arn:aws:lambda:us-east-1:123456789012:function:null","MemorySize":1769,"Timeout":180,
        "State":"Active"}}';
    }
    location ~ /invocations$ {
      add_header X-Amzn-Requestid $request_id; add_header X-Amz-Log-Result "%(log)s";
      echo_read_request_body;
      echo -n '{"seal": "%(seal)s", "protocol":1,"sandbox":"s","cold":false,"python":"3","outcomes":[{"id":$task,';
      echo -n '"status":"ok","value":4,"started":0,"seconds":0.0001,"log":""}], "values": "gAVOLg=="}';
    }
  }
}
"""


@contextmanager
def null_lambda(folder: Path) -> Iterator[str]:
    """Run the service and yield its URL; its certificate authority is `certificate.pem` in `folder`."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    log = base64.b64encode(_LOG.encode()).decode()
    settings = {"module": MODULE, "port": port, "log": log, "identity": IDENTITY, "seal": "0" * 64}
    (folder / "nginx.conf").write_text(_CONFIGURATION % settings)
    certificate = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=null-lambda"
    names = "-addext subjectAltName=IP:127.0.0.1 -keyout key.pem -out certificate.pem"
    command = f"openssl req -x509 {certificate} {names}"
    subprocess.run(command.split(), cwd=folder, check=True, capture_output=True)
    with subprocess.Popen(["nginx", "-p", str(folder), "-c", "nginx.conf"], stderr=sys.stderr) as nginx:
        try:
            _wait(port)
            yield f"https://127.0.0.1:{port}"
        finally:
            nginx.terminate()


def _wait(port: int) -> None:
    for _ in range(200):
        try:
            return socket.create_connection(("127.0.0.1", port)).close()
        except OSError:
            time.sleep(0.05)
    raise SystemExit("nginx does not start")
