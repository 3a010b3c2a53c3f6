"""Models, and masks of any tool, judged by labelled chips."""

from __future__ import annotations

from geomask.evaluation.files import check_report, write_evaluation
from geomask.evaluation.plan import evaluate, plan_evaluation
from geomask.evaluation.results import Evaluation

__all__ = ["Evaluation", "check_report", "evaluate", "plan_evaluation", "write_evaluation"]
