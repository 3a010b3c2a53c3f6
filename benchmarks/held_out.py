"""Masks of the chips whose places a model was not trained on, to be scored as any other masks.

    python -m benchmarks.held_out default no-alberta.safetensors \\
        --data chips/ --clear clear-chips/ --out masks/ \\
        [--without swir16 swir22] [--shift shadow=1.4]

Of several models, a chip is given to the first that was not trained on its group; a chip that all
of them have seen gets no mask. --without: as if scenes did not have these bands. --shift: add to
the logit of a class, of models by the default recipe.
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import rasterio

from benchmarks.peer_masks import write_mask
from geomask import load_model
from geomask.classes import NODATA
from geomask.evaluation.subject import ModelSubject
from geomask.training.calibration import shift_logits
from geomask.training.chips import Chip, cloud_free_chips, read_manifest
from geomask.training.recipe import load_recipe


def classify(subject: ModelSubject, chip: Chip, hidden: Sequence[str], out: Path) -> None:
    """Write the chip's mask, as if it did not have the hidden bands."""
    bands = tuple(None if band in hidden else band for band in chip.bands)
    mask = np.full(chip.shape, NODATA, np.uint8)
    for result in subject.results(replace(chip, bands=bands)):
        mask[result.window.toslices()] = result.codes
    write_mask(chip, out, mask)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", nargs="+")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--clear", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--without", nargs="+", default=[], metavar="BAND")
    parser.add_argument("--shift", nargs="+", default=[], metavar="CLASS=NUMBER")
    given = parser.parse_args()
    warnings.simplefilter("ignore", rasterio.errors.NotGeoreferencedWarning)
    given.out.mkdir(parents=True, exist_ok=True)
    shift = {name: float(value) for name, value in (text.split("=") for text in given.shift)}
    models = [load_model(name) for name in given.models]
    recipe = load_recipe("default")
    for model in models:
        shift_logits(model.network.get_submodule("body"), recipe, shift)
    subjects = [ModelSubject(model) for model in models]
    seen = [subject.model.card.provenance["training_groups"] for subject in subjects]
    chips = [*read_manifest(given.data), *cloud_free_chips(given.clear)]
    written = 0
    for chip in chips:
        fresh = [s for s, groups in zip(subjects, seen, strict=True) if chip.group not in groups]
        if fresh:
            classify(fresh[0], chip, given.without, given.out)
            written += 1
    print(f"{written} masks of {len(chips)} chips in {given.out}")


if __name__ == "__main__":
    main()
