"""The commands for jobs and deployed functions: `status`, `jobs`, `logs`, `clean`."""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import asdict
from typing import Any

_REPLAY_SECONDS = 5.0
"""Maximum seconds to read a job."""


def register(commands: Any) -> None:
    """Add the commands to the sub-parsers of `lithops-magic`."""
    status = commands.add_parser("status", help="list the deployed functions")
    status.set_defaults(run=lambda _: _status())

    jobs = commands.add_parser("jobs", help="list the jobs of this machine, newest first")
    jobs.add_argument("--json", action="store_true", help="as JSON, one object per job")
    jobs.set_defaults(run=_jobs)

    logs = commands.add_parser("logs", help="print the output of a job's tasks")
    logs.add_argument("job", metavar="JOB", help="the job's ID, or the start of it")
    logs.add_argument("index", metavar="INDEX", nargs="?", type=int, help="one task only")
    logs.add_argument("--grep", metavar="PATTERN", help="only lines that match this regular expression")
    logs.add_argument("--follow", action="store_true", help="print what tasks print while they run, until the end")
    logs.set_defaults(run=_logs)

    clean = commands.add_parser("clean", help="delete the functions and layers that were deployed")
    clean.add_argument("--dry-run", action="store_true", help="only show what would be deleted")
    clean.add_argument("--yes", action="store_true", help="delete without asking")
    clean.set_defaults(run=_clean)


def _status() -> int:
    from lithops_magic import config
    from lithops_magic.aws.deploy.function import list_functions
    from lithops_magic.aws.session import Cloud

    settings = config.load()
    cloud = Cloud.connect(settings)
    print(f"{cloud.describe()} · configured by {settings.source}")
    functions = list_functions(cloud, settings)
    for function in functions:
        print(f"  {function.label}  {function.memory:,} MB  {function.timeout} s  {function.last_modified}")
    if not functions:
        print("No functions deployed.")
    return 0


def _jobs(options: argparse.Namespace) -> int:
    from lithops_magic.notebook.display.job_table import HEADINGS, SHOWN, listed_jobs
    from lithops_magic.notebook.display.status import Table

    listed, now = listed_jobs(), time.time()
    if options.json:
        print(json.dumps([asdict(job) for job in listed], indent=2))
        return 0
    # The first column's magic is for notebooks.
    rows = [(job.id[:SHOWN], *job.row(now)[1:]) for job in listed]
    print(Table("Jobs of this machine", ("job", *HEADINGS[1:]), rows, "No jobs yet.").to_text())
    return 0


def _logs(options: argparse.Namespace) -> int:
    from lithops_magic.engine.attach import attach

    result = attach(options.job)
    if options.follow:
        result.logs(options.index, grep=options.grep, follow=True)
        return 0
    # Finished tasks are replayed; running ones need not end.
    result.wait(_REPLAY_SECONDS)
    found = result.logs(options.index, grep=options.grep) if options.grep else result.logs(options.index)
    text = str(found)
    if text:
        print(text.rstrip("\n"))
    return 0


def _clean(options: argparse.Namespace) -> int:
    from lithops_magic import config
    from lithops_magic.notebook.display.status import clean

    def agree(question: str) -> bool:
        if options.yes:
            return True
        # Without a terminal, nobody can answer: nothing is deleted.
        return sys.stdin.isatty() and input(f"{question} [y/N] ").strip().lower() in ("y", "yes")

    print(clean(config.load(), dry_run=options.dry_run, agree=agree)["text/plain"])
    return 0
