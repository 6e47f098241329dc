"""Lithops' constants, as far as they apply here."""

from __future__ import annotations

import os
import tempfile

from lithops_magic.aws.storage.names import RESULTS

LOCALHOST, SERVERLESS, STANDALONE = "localhost", "serverless", "standalone"
MODE_DEFAULT = SERVERLESS
SERVERLESS_BACKEND_DEFAULT, STORAGE_BACKEND_DEFAULT = "aws_lambda", "aws_s3"
CPU_COUNT = os.cpu_count()
WORKER_PROCESSES_DEFAULT = 1
LOGGER_LEVEL = "info"
LOGGER_STREAM = "ext://sys.stderr"
LOGGER_FORMAT = "%(asctime)s [%(levelname)s] %(filename)s:%(lineno)s -- %(message)s"
LOGGER_FORMAT_SHORT = "[%(levelname)s] %(filename)s:%(lineno)s -- %(message)s"
LOGGER_LEVEL_CHOICES = ("debug", "info", "warning", "error", "critical")
JOBS_PREFIX, TEMP_PREFIX = RESULTS.rstrip("/"), f"{RESULTS}tmp"
SESSION_ID_ENV = "__LITHOPS_SESSION_ID"
TEMP_DIR = os.path.realpath(tempfile.gettempdir())
LITHOPS_TEMP_DIR = os.path.join(TEMP_DIR, "lithops-magic")  # noqa: PTH118
CONFIG_DIR = os.path.expanduser("~/.lithops")  # noqa: PTH111
CONFIG_FILE, CONFIG_FILE_GLOBAL = f"{CONFIG_DIR}/config", "/etc/lithops/config"
SERVERLESS_BACKENDS: tuple[str, ...] = ("aws_lambda",)
STANDALONE_BACKENDS: tuple[str, ...] = ()
