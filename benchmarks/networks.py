"""Networks compared: what each makes of the same short training, against how fast it is.

    python -m benchmarks.networks                          # speed alone
    python -m benchmarks.networks --out nets/ --data chips/ --clear clear-chips/ [--steps 800]

With --data every network that has no file in --out yet is trained first: the default recipe with
this network, `--steps` steps, and the groups of `HELD_OUT` left out of training. They are then
scored on these (`geomask evaluate --split held-out`). Speeds are of patches of 1152 pixels in the
precision that `geomask predict` would choose, the networks taking turns; "pixels that differ" is
`geomask.training.seams` at a margin of 64. A difference of 0.02 in IoU is within what another seed
does.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Sequence
from pathlib import Path

import torch

from geomask import evaluate
from geomask.card import Card
from geomask.checkpoint import Model, load_model
from geomask.device import choose_device, choose_precision
from geomask.network import build_segmenter
from geomask.training.cards import draft_card
from geomask.training.recipe import load_recipe
from geomask.training.train import train

_SMALL = "options = {encoder_depth = 4, decoder_channels = [128, 64, 32, 16]}"

NETWORKS = {
    "regnetx_002": 'architecture="Unet", encoder="tu-regnetx_002"',
    "regnetx_002_d4": f'architecture="Unet", encoder="tu-regnetx_002", {_SMALL}',
    "regnetx_004": 'architecture="Unet", encoder="tu-regnetx_004_tv"',
    "mnv4s": 'architecture="Unet", encoder="tu-mobilenetv4_conv_small"',
    "resnet18": 'architecture="Unet", encoder="resnet18"',
    "efficientnet_b0": 'architecture="Unet", encoder="tu-efficientnet_b0"',
    "plain16": 'architecture="plain-unet", options = {width = 16}',
}
"""Name of the file: the recipe's network. d4: without the encoder's last stage, and so with less
of a view."""

HELD_OUT = (
    "s2_alberta_aoi", "l8biome_barren_08", "l8biome_forest_00", "l8biome_forest_07",
    "l8biome_shrubland_02", "l8biome_snowice_01", "l8biome_urban_11", "l8biome_wetlands_00",
    "ROIs1158_spring_39", "ROIs1868_summer_102", "ROIs1970_fall_85",
)  # fmt: skip

PATCH = 1152


def overrides(name: str, steps: int) -> list[str]:
    """`--set` of a training of that network."""
    per_epoch = max(1, steps // 8)
    return [
        f'network={{encoder_weights="none", {NETWORKS[name]}}}',
        f"data.validation_groups={json.dumps(HELD_OUT)}",
        f"data.steps_per_epoch={per_epoch}",
        f"trainer.max_epochs={max(1, steps // per_epoch)}",
        "trainer.pictures=0",
    ]


def untrained(name: str) -> Model:
    """The network with random weights, ready to be timed."""
    recipe = load_recipe("default", overrides(name, 8))
    card: Card = draft_card(recipe, name, 32, (10.0, 30.0))
    network = build_segmenter(card).eval().requires_grad_(False)
    device = choose_device("auto")
    network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    return Model(network, card, device)


def seconds(model: Model, image: torch.Tensor) -> float:
    """One forward pass."""
    dtype = choose_precision("auto", model.device)
    mixed = dtype != torch.float32
    started = time.perf_counter()
    with torch.inference_mode(), torch.autocast(model.device.type, dtype, enabled=mixed):
        float(model.network(image).float().max())
    return time.perf_counter() - started


def speeds(names: Sequence[str], rounds: int) -> dict[str, float]:
    """Megapixels per second by network, the median of rounds in which they take turns."""
    models = {name: untrained(name) for name in names}
    device = next(iter(models.values())).device
    image = torch.rand(1, 6, PATCH, PATCH, device=device)
    image = image.contiguous(memory_format=torch.channels_last)
    taken: dict[str, list[float]] = {name: [] for name in names}
    for number in range(rounds + 1):
        for name, model in models.items():
            spent = seconds(model, image)
            if number:  # the first warms up
                taken[name].append(spent)
    return {name: PATCH**2 / 1e6 / statistics.median(some) for name, some in taken.items()}


def scores(path: Path, data: Path, clear: Path) -> list[str]:
    """IoU by class and their mean, recall of thin cloud, cloud-free pixels flagged, seams."""
    found = evaluate(model=path, data=[data], clear=[clear], split="held-out")
    cells = [found.overall.macro_iou.value, *(item.iou.value for item in found.classes)]
    cells.append(found.thin_cloud.recall.value if found.thin_cloud else None)
    text = ["-" if value is None else f"{value:.3f}" for value in cells]
    flagged = found.cloud_free.flagged.value if found.cloud_free else None
    seams = load_model(path).card.seam_fraction
    return text + ["-" if share is None else f"{share:.3%}" for share in (flagged, seams)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--clear", type=Path)
    parser.add_argument("--steps", type=int, default=800)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--networks", nargs="+", choices=list(NETWORKS), default=list(NETWORKS))
    given = parser.parse_args()
    scored = given.out and given.data and given.clear
    if scored:
        given.out.mkdir(parents=True, exist_ok=True)
        for name in given.networks:
            path = given.out / f"{name}.safetensors"
            if not path.exists():
                recipe = load_recipe("default", overrides(name, given.steps))
                train(recipe, [given.data], path, clear=[given.clear], resume=True, progress=False)
    head = ["network", "M params", "Mpx/s"]
    if scored:
        head += ["macro IoU", "clear", "cloud", "shadow", "snow", "thin recall", "flagged", "seams"]
    print("| " + " | ".join(head) + " |")
    print("|" + "---|" * len(head))
    for name, speed in speeds(given.networks, given.rounds).items():
        size = sum(part.numel() for part in untrained(name).network.parameters()) / 1e6
        row = [name, f"{size:.2f}", f"{speed:.1f}"]
        if scored:
            row += scores(given.out / f"{name}.safetensors", given.data, given.clear)
        print("| " + " | ".join(row) + " |", flush=True)


if __name__ == "__main__":
    main()
