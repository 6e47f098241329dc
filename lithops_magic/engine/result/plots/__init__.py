"""Pictures of a job, drawn by matplotlib from its tasks' times and costs; imported only when one is asked for."""

from __future__ import annotations

from lithops_magic.engine.result.plots.figure import Plot, plot

__all__ = ["Plot", "plot"]
