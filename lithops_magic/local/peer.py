"""Tells which user is at the other end of a loopback connection: on a shared machine, others can reach the port too."""

from __future__ import annotations

import os
import socket
import struct
import sys

SOCK_DIAG, SOCK_DIAG_BY_FAMILY, NLMSG_ERROR, NLM_F_REQUEST = 4, 20, 2, 1
HEADER = struct.Struct("=IHHII")
ANY = 0xFFFFFFFF
NOT_FOUND = -2
UID_OFFSET = HEADER.size + 64
"""Offset of `idiag_uid` in the kernel's answer, `struct inet_diag_msg`."""


def is_own_user(connection: socket.socket) -> bool:
    """Whether an accepted IPv4 connection comes from a process of this user; True where the system cannot tell."""
    if sys.platform != "linux":
        return True
    try:
        answer = _ask_kernel(connection.getpeername(), connection.getsockname())
    except OSError:
        return True
    _, kind, _, _, _ = HEADER.unpack_from(answer)
    if kind == NLMSG_ERROR:
        code: int = struct.unpack_from("=i", answer, HEADER.size)[0]
        # The kernel no longer has the other end of this connection; other errors say nothing about it.
        return code != NOT_FOUND
    uid: int = struct.unpack_from("=I", answer, UID_OFFSET)[0]
    return uid == os.getuid()


def _ask_kernel(peer: tuple[str, int], own: tuple[str, int]) -> bytes:
    """Look up the peer's socket with `struct inet_diag_req_v2`; `/proc/net/tcp` can miss entries while it changes."""
    request = struct.pack("=BBBxI", socket.AF_INET, socket.IPPROTO_TCP, 0, ANY)
    request += struct.pack("!HH", peer[1], own[1])
    request += socket.inet_aton(peer[0]) + bytes(12) + socket.inet_aton(own[0]) + bytes(12)
    request += struct.pack("=III", 0, ANY, ANY)
    header = HEADER.pack(HEADER.size + len(request), SOCK_DIAG_BY_FAMILY, NLM_F_REQUEST, 0, 0)
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, SOCK_DIAG) as kernel:
        kernel.send(header + request)
        return kernel.recv(4096)
