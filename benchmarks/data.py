"""Count the words of a gigabyte in S3: with lithops-magic, real Lithops and a plain boto3 loop, in one run.

The text is in the local S3, in sixteen objects (moto copies the entire object for every range it sends), and is cut
into parts of 16 MB that end with lines. Our tasks and Lithops' read them in sandboxes; the plain loop fetches the same
ranges from as many threads as there are sandboxes, and counts here. All must count the same words, or their row says
what they counted. Everything shares this machine's cores, including S3, so bytes and requests mean more than seconds.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from typing import Any

from common import LITHOPS, SANDBOXES, LocalAws, lithops, local_aws, machine, operations, parser, report, seconds, table

MEGABYTE = 2**20
BUCKET, OBJECTS = "words", 16
NAMES = {"engine": "lithops-magic", "loop": "plain boto3 loop", "lithops": f"Lithops {LITHOPS}"}
LINE = b"the quick brown fox jumps over the lazy dog and %07d others\n"


@dataclass
class Run:
    """One way to count."""

    way: str
    seconds: float = 0.0
    words: int | None = None
    requests: dict[str, int] = field(default_factory=dict)
    sent: dict[str, int] = field(default_factory=dict)
    """Bytes of answers by operation."""
    error: str = ""

    @property
    def read(self) -> int:
        """Bytes of objects read from S3."""
        return self.sent.get("s3:GetObject", 0)


def words(obj: Any) -> int:
    """Count the words of a part."""
    return sum(len(line.split()) for line in obj.data_stream.read().splitlines())


def text(size: int) -> bytes:
    """Return `size` bytes of numbered lines; the last one may be cut."""
    one = b"".join(LINE % number for number in range(16 * 1024))
    return (one * (size // len(one) + 1))[:size]


def key(number: int) -> str:
    """Return the key of an object."""
    return f"text/{number:02}.txt"


def engine(aws: LocalAws, chunk: int) -> tuple[int | None, str]:
    """Count as a notebook does."""
    import lithops_magic

    found = lithops_magic.map(words, lithops_magic.s3(f"{BUCKET}/text/", chunk=chunk), settings=aws.settings)
    return sum(found), ""


def loop(aws: LocalAws, each: int, chunk: int) -> tuple[int | None, str]:
    """Count here, with nothing else: lines cut between two parts are joined at the end."""
    from botocore.config import Config

    client = aws.cloud.client("s3", Config(max_pool_connections=SANDBOXES))

    def count(place: tuple[int, int]) -> tuple[int, bytes, bytes]:
        number, start = place
        span = f"bytes={start}-{min(start + chunk, each) - 1}"
        data = client.get_object(Bucket=BUCKET, Key=key(number), Range=span)["Body"].read()
        first, _, rest = data.partition(b"\n")
        middle, _, last = rest.rpartition(b"\n")
        # Lines of different objects are not joined.
        return len(middle.split()), first if start else b"\n" + first, last

    with ThreadPoolExecutor(SANDBOXES) as pool:
        places = [(number, start) for number in range(OBJECTS) for start in range(0, each, chunk)]
        parts = list(pool.map(count, places))
    edges = b"".join(first + b"\n" + last for _, first, last in parts)
    return sum(number for number, _, _ in parts) + len(edges.split()), ""


def measure(aws: LocalAws, way: str, work: Callable[[], tuple[int | None, str]]) -> Run:
    """Count in one way, and record the requests and bytes."""
    run = Run(way)
    with aws.counting(run.requests), aws.counting(run.sent, "sent"):
        began = time.perf_counter()
        run.words, run.error = work()
        run.seconds = time.perf_counter() - began
    return run


def main() -> None:
    options = parser(__doc__, "8 MB in parts of 256 kB, without Lithops").parse_args()
    size, chunk = (8 * MEGABYTE, MEGABYTE // 4) if options.short else (1024 * MEGABYTE, 16 * MEGABYTE)
    runs = []
    with local_aws(2 if options.short else SANDBOXES) as aws:
        client = aws.cloud.client("s3")
        client.create_bucket(Bucket=BUCKET)
        data = text(size // OBJECTS)
        expected = len(data.split()) * OBJECTS
        for number in range(OBJECTS):
            client.put_object(Bucket=BUCKET, Key=key(number), Body=data)
        runs.append(measure(aws, "engine", lambda: engine(aws, chunk)))
        runs.append(measure(aws, "loop", lambda: loop(aws, size // OBJECTS, chunk)))
        if not options.short:
            with lithops(aws) as theirs:
                theirs.run("noop", 1)

                def other() -> tuple[int | None, str]:
                    answer = theirs.run("words", 0, chunk)
                    return answer.get("total"), answer.get("error", "")

                runs.append(measure(aws, "lithops", other))
    assert all(run.words == expected for run in runs if run.way != "lithops"), [run.words for run in runs]
    head = ["way", "requests", "words", "time", "MB read", "read by needed"]
    rows = [
        [
            NAMES[run.way],
            run.error or operations({name: count for name, count in run.requests.items() if name.startswith("s3:")}),
            "all" if run.words == expected else f"{run.words or 0:,} of {expected:,}",
            seconds(run.seconds),
            f"{run.read / MEGABYTE:,.1f}",
            f"{run.read / size:.4f}",
        ]
        for run in runs
    ]
    report([table(head, rows, left=2)], [asdict(run) for run in runs], machine(), options.json)


if __name__ == "__main__":
    main()
