"""Completes S3 addresses: buckets, then keys, if they can be listed within a moment."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lithops_magic.config import Settings

PATIENCE = 1.0
"""Seconds that pressing Tab may take; later results are ready for the next press."""
FRESH = 30.0
"""Seconds for which a listing is cached."""
MAX_NAMES = 200
"""Maximum keys and prefixes offered."""

# Shared by all threads: entries are replaced as a whole, which is atomic.
_cache: dict[tuple[str, str], tuple[float, list[str]]] = {}
_asking: dict[tuple[str, str], threading.Thread] = {}


def beginning_with(written: str, settings: Callable[[], Settings]) -> list[str]:
    """Return addresses that begin with `written`, if they can be listed within a moment."""
    scheme = "s3://" if written.startswith("s3://") else ""
    bucket, slash, key = written.removeprefix("s3://").partition("/")
    try:
        chosen = settings()
        place = (f"{chosen.profile}{chosen.region}{chosen.local}", f"{bucket}/{key}" if slash else "")
    except Exception:  # an unreadable configuration is reported once something runs
        return []
    when, found = _cache.get(place, (0.0, []))
    if time.monotonic() - when > FRESH:
        # In a thread, so that a slow network holds up a press of Tab for no longer than PATIENCE.
        if (thread := _asking.get(place)) is None:
            thread = _asking[place] = threading.Thread(
                target=_ask, args=(place, chosen, bucket if slash else "", key), name="lithops-magic-names", daemon=True
            )
            thread.start()
        thread.join(PATIENCE)
        _, found = _cache.get(place, (0.0, []))
    return [f"{scheme}{each}" for each in found if f"{scheme}{each}".startswith(written)]


def _ask(place: tuple[str, str], settings: Settings, bucket: str, key: str) -> None:
    try:
        _cache[place] = (time.monotonic(), _found(settings, bucket, key))
    except Exception:  # without permission or network, offer nothing
        _cache[place] = (time.monotonic(), [])
    finally:
        _asking.pop(place, None)


def _found(settings: Settings, bucket: str, key: str) -> list[str]:
    from lithops_magic.aws.local_server import is_running
    from lithops_magic.aws.session import Cloud

    # Pressing Tab must not start the local AWS.
    if settings.local and not is_running():
        return []
    client: Any = Cloud.connect(settings).client("s3")
    if not bucket:
        return [f"{each['Name']}/" for each in client.list_buckets()["Buckets"]]
    answer = client.list_objects_v2(Bucket=bucket, Prefix=key, Delimiter="/", MaxKeys=MAX_NAMES)
    prefixes = [each["Prefix"] for each in answer.get("CommonPrefixes", ())]
    keys = [each["Key"] for each in answer.get("Contents", ()) if not each["Key"].endswith("/")]
    return [f"{bucket}/{each}" for each in (*prefixes, *keys)]
