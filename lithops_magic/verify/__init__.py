"""Checks that everything works in the user's own account as it does on the local AWS."""

from __future__ import annotations

from lithops_magic.verify.finding import Finding
from lithops_magic.verify.report import Report
from lithops_magic.verify.run import CHECKS, verify

__all__ = ["CHECKS", "Finding", "Report", "verify"]
