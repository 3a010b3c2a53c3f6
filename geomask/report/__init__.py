"""The page that people look at: one HTML file that says what an evaluation found, and needs no
other."""

from __future__ import annotations

from geomask.report.page import report_html, write_report

__all__ = ["report_html", "write_report"]
