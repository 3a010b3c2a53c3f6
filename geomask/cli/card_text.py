"""A model's card for a person to read: what it is, what it runs on, how good it is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from geomask.card import Card
from geomask.cli.console import print_facts, print_table

WHY = "IoU on chips that it was not trained on, by the bands that it is shown"

OTHERS = {
    "thin_recall": ("thin found", "share of thin cloud that is given its class"),
    "cloud_free_flagged": (
        "flagged",
        "share of cloud-free chips that is called anything else than it is",
    ),
}
"""Heading and meaning of scores that are no IoU."""


def print_card(card: Card) -> None:
    """Facts, a table of scores by band set, and where it comes from."""
    low, high = card.resolution
    network = card.network
    facts = [
        ("model", card.name),
        ("what it is", card.description),
        ("bands", " ".join(card.bands)),
        ("runs on", "; ".join(" ".join(bands) for bands in card.band_sets or (card.bands,))),
        ("classes", ", ".join(f"{c.code} {c.name}" for c in card.classes)),
        ("resolution", f"{low:g} to {high:g} m"),
        ("network", f"{network.architecture} {network.encoder or ''}".strip()),
        ("margin", f"{card.margin} pixels, patches on multiples of {card.stride}"),
    ]
    if card.seam_fraction is not None:
        facts.append(("seams", f"{card.seam_fraction:.3%} of pixels, at that margin"))
    print_facts([*facts, ("licence", card.licence)])
    scored = {name: its for name, its in card.metrics.items() if _is_scored(its)}
    if scored:
        print(f"\n{WHY}\n")
        print_scores(card, scored)
    made = {f"score: {name}": its for name, its in card.metrics.items() if name not in scored}
    # The recipe is a page of its own; --json has it.
    made |= {name: its for name, its in card.provenance.items() if name != "recipe"}
    if made:
        print("\nhow it was made\n")
        print_facts([(name.replace("_", " "), _plain(its)) for name, its in made.items()])


def print_scores(card: Card, scored: Mapping[str, Mapping[str, Any]]) -> None:
    """A line for each band set: IoU by class and its mean; thin cloud found; false alarms."""
    names = [entry.name for entry in card.classes]
    extra = [key for key in OTHERS if any(key in its for its in scored.values())]
    rows = []
    for bands, its in scored.items():
        cells = [bands.replace(",", " "), *(_number(its["iou"].get(name)) for name in names)]
        rows.append([*cells, _number(its.get("macro_iou")), *(_number(its.get(k)) for k in extra)])
    print_table(("bands", *names, "mean", *(OTHERS[key][0] for key in extra)), rows)
    for key in extra:
        print(": ".join(OTHERS[key]))


def _is_scored(value: Any) -> bool:
    return isinstance(value, dict) and isinstance(value.get("iou"), dict)


def _number(value: Any) -> str:
    return f"{value:.3f}" if isinstance(value, int | float) else "-"


def _plain(value: Any) -> str:
    """A value of a card in words: mappings as "name value", nested ones in brackets."""
    if isinstance(value, dict):
        return ", ".join(
            f"{name} ({_plain(part)})" if isinstance(part, dict) else f"{name} {_plain(part)}"
            for name, part in value.items()
        )
    if isinstance(value, list):
        return ", ".join(map(_plain, value))
    return str(value)
