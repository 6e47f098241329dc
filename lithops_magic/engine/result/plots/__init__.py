"""Plots of a job, drawn by matplotlib from task times and costs; imported only on demand."""

from __future__ import annotations

from lithops_magic.engine.result.plots.figure import Plot, plot

__all__ = ["Plot", "plot"]
