"""The page of a reward card: one HTML file with its styles, charts and pictures inside."""

from assay.benchmarks.report.page import render, style

__all__ = ["render", "style"]
