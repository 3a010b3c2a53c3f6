"""Scores of networks on whole chips."""

from __future__ import annotations

import pytest
import torch

from geomask.training.scores import class_scores


def test_scores_by_hand() -> None:
    scores = class_scores(torch.tensor([[6, 2, 0], [1, 1, 0], [0, 0, 0]]), ["a", "b", "c"])
    assert scores["iou"] == {"a": round(6 / 9, 4), "b": 0.25}
    assert scores["f1"] == {"a": 0.8, "b": 0.4}
    assert scores["pixels"] == {"a": 8, "b": 2, "c": 0}
    assert scores["macro_iou"] == pytest.approx((6 / 9 + 0.25) / 2, abs=1e-4)
