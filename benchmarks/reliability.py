"""What a model's percents are worth: how often it is right where it says so.

    geomask evaluate --model default --data chips/ --split held-out --report report/
    python -m benchmarks.reliability report/metrics.json

A row for each tenth of the percents that `geomask predict --probabilities` gives a class; in a
cell, the share of those pixels that are labelled so, and how many they are.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

STEP = 10
"""Percents in a row."""


def rows(classes: list[dict[str, Any]]) -> list[list[str]]:
    """A row per tenth, a cell per class; the last row is the calibration error."""
    table = []
    for low in range(0, 100, STEP):
        high = low + STEP if low + STEP < 100 else 101
        cells = [f"{low}-{min(high - 1, 100)} %"]
        for item in classes:
            pixels = item["curve"]["pixels"][low:high]
            shares = item["curve"]["share"][low:high]
            total = sum(pixels)
            right = sum(n * share for n, share in zip(pixels, shares, strict=True) if n)
            cells.append(f"{100 * right / total:.0f} % of {total}" if total else "-")
        table.append(cells)
    errors = [f"{item['curve']['calibration_error']:.3f}" for item in classes]
    return [*table, ["calibration error", *errors]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("metrics", type=Path, help="metrics.json of `geomask evaluate --report`")
    found = json.loads(parser.parse_args().metrics.read_text("utf-8"))
    classes = [item for item in found["classes"] if item.get("curve")]
    print("| it says | " + " | ".join(item["name"] for item in classes) + " |")
    print("|---" * (len(classes) + 1) + "|")
    for row in rows(classes):
        print("| " + " | ".join(row) + " |")


if __name__ == "__main__":
    main()
