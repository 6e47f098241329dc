"""Fetches of a value from S3 with corrupted answers or references."""

from __future__ import annotations

import random
import re
from collections import Counter
from typing import Any

from fault_kinds import mutating
from fault_proxy import FaultProxy, Rule
from lithops_magic.aws.session import Cloud
from lithops_magic.aws.storage.objects import ObjectStore
from lithops_magic.config import Settings
from lithops_magic.engine.dispatch import transfers, verdicts
from lithops_magic.engine.job.task import Task
from lithops_magic.engine.wire.reply import Outcome
from lithops_magic.engine.wire.store import Place
from lithops_magic.errors import LithopsMagicError
from lithops_magic.worker import packing

OBJECT = re.compile(rb"GET /\S+/objects/")
ODD: list[Any] = [None, "", "x", -1, 0, 10**30, True, 1.5, [], {}, "../../x", "\0", "é\ud800", "a" * 5_000]


def fetch(proxy: FaultProxy, settings: Settings, number: int, seed: int = 1) -> Counter[str]:
    """Fetch a value `number` times, and count the outcomes: right, wrong, refused in one line, or something else."""
    chance = random.Random(seed)
    place = Place.of_job(ObjectStore(Cloud.connect(settings), settings), "fuzz")
    value = chance.randbytes(2_000)
    reference = place.upload(packing.dumps(value))
    proxy.reset(Rule(mutating(seed), rate=0.7, match=OBJECT), seed=seed)
    found: Counter[str] = Counter()
    for each in range(number):
        given = {**reference, chance.choice([*reference]): chance.choice(ODD)} if each % 3 == 2 else reference
        found[_kind(transfers._fetched(place, Outcome("ok", reference=given), Task(0, 1)), value)] += 1
    return found


def _kind(verdict: verdicts.Verdict, value: bytes) -> str:
    if isinstance(verdict, verdicts.Value):
        return "right" if verdict.value == value else "wrong"
    if isinstance(verdict, verdicts.Lost | verdicts.Final) and isinstance(verdict.error, LithopsMagicError):
        return "refused" if "\n" not in str(verdict.error) else repr(verdict.error)
    return repr(verdict)
