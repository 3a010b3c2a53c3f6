"""One network, every way to run it.

    pip install onnxruntime openvino     # the rows that need them say so where they are missing
    python -m benchmarks.settings [--model default] [--patches 512 1024 1664] [--compile]

Megapixels per second, median of rounds in which the ways take turns. "agrees" is the share of
pixels whose class is float32's, on the bundled example. Batches keep the number of pixels: eight
patches of 512 instead of one of 1448; "abreast": patches of 1024, two at a time, each with half of
the cores. --compile: torch.compile as well, which needs a C++ compiler
and about a minute; what that minute costs stands in the last column.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import torch
from rasterio.windows import Window
from torch import nn

from geomask import load_model, open_scene
from geomask.lanes import open_lanes
from geomask.memory import keep_freed_memory
from geomask.prepared import prepared_network

Way = Callable[[torch.Tensor], torch.Tensor]
"""Reflectance float32 (N, bands, H, W) to classes (N, H, W)."""

CPU = torch.device("cpu")


class Classes(nn.Module):
    """Argmax inside the graph, where a compiler sees it."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, reflectance: torch.Tensor) -> torch.Tensor:
        classes: torch.Tensor = self.network(reflectance).argmax(dim=1)
        return classes


def in_torch(classes_of: Way, dtype: torch.dtype, layout: torch.memory_format) -> Way:
    """torch as it is. classes_of: a network and argmax."""

    def run(image: torch.Tensor) -> torch.Tensor:
        image = image.contiguous(memory_format=layout)
        with torch.inference_mode(), torch.autocast("cpu", dtype, enabled=dtype != torch.float32):
            return classes_of(image)

    return run


def eager(network: nn.Module, dtype: torch.dtype, layout: torch.memory_format) -> Way:
    return in_torch(Classes(network), dtype, layout)


def compiled(network: nn.Module, dtype: torch.dtype) -> Way:
    """torch.compile, argmax inside."""
    return in_torch(torch.compile(Classes(network)), dtype, torch.channels_last)  # type: ignore[arg-type]


def onnx_runtime(path: Path) -> Way:
    """ONNX Runtime's CPU provider, float32, argmax inside."""
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])

    def run(image: torch.Tensor) -> torch.Tensor:
        return torch.from_numpy(session.run(None, {"reflectance": image.numpy()})[0])

    return run


def openvino(path: Path, precision: str, streams: int = 1) -> Way:
    """OpenVINO's CPU plugin at f32 or bf16, argmax inside; streams: what runs side by side."""
    import openvino as ov

    hints = {"INFERENCE_PRECISION_HINT": precision, "NUM_STREAMS": streams}
    model = ov.Core().compile_model(path, "CPU", hints)

    def run(image: torch.Tensor) -> torch.Tensor:
        request = model.create_infer_request()
        return torch.from_numpy(request.infer(image.numpy())[0])

    return run


def export(network: nn.Module, bands: int, path: Path) -> None:
    """ONNX with free batch, height and width."""
    torch.onnx.export(
        Classes(network),
        (torch.rand(1, bands, 256, 256),),
        path,
        input_names=["reflectance"],
        output_names=["classes"],
        dynamic_axes={"reflectance": {0: "n", 2: "h", 3: "w"}, "classes": {0: "n", 1: "h", 2: "w"}},
        dynamo=False,
    )


def ways(name: str, folder: Path, compile_too: bool) -> tuple[dict[str, Way], int]:
    """Every way there is here, and the number of bands."""
    model = load_model(name, CPU)
    plain, folded = (prepared_network(model, t, CPU) for t in (torch.float32, torch.bfloat16))
    nchw, nhwc = torch.contiguous_format, torch.channels_last
    found: dict[str, Way] = {
        "fp32": eager(plain.to(memory_format=nchw), torch.float32, nchw),
        "fp32 channels-last": eager(load_model(name, CPU).network, torch.float32, nhwc),
        "bf16 channels-last": eager(load_model(name, CPU).network, torch.bfloat16, nhwc),
        "the same, BatchNorm folded": eager(folded, torch.bfloat16, nhwc),
    }
    if compile_too:
        found["the same, compiled"] = compiled(folded, torch.bfloat16)
    bands = len(model.card.bands)
    try:
        export(load_model(name, CPU).network, bands, folder / "network.onnx")
        found["ONNX Runtime fp32"] = onnx_runtime(folder / "network.onnx")
    except ImportError as error:
        print(f"left out: {error}")
    try:
        found["OpenVINO fp32"] = openvino(folder / "network.onnx", "f32")
        found["OpenVINO bf16"] = openvino(folder / "network.onnx", "bf16")
        found["the same, two streams"] = openvino(folder / "network.onnx", "bf16", 2)
    except (ImportError, RuntimeError) as error:
        print(f"left out: {error}")
    return found, bands


def speeds(
    every: Mapping[str, Way], shape: tuple[int, int, int, int], rounds: int
) -> tuple[dict[str, float], dict[str, float]]:
    """Megapixels per second by way, and seconds of its first run."""
    image = torch.rand(shape)
    taken: dict[str, list[float]] = {name: [] for name in every}
    for _ in range(rounds + 1):
        for name, way in every.items():
            started = time.perf_counter()
            way(image)
            taken[name].append(time.perf_counter() - started)
    pixels = shape[0] * shape[2] * shape[3] / 1e6
    return (
        {name: pixels / statistics.median(some[1:]) for name, some in taken.items()},
        {name: some[0] for name, some in taken.items()},
    )


def two_lanes(every: Mapping[str, Way], bands: int, side: int, rounds: int) -> dict[str, float]:
    """Megapixels per second by way, of two patches at a time, a thread and half the cores each."""
    image = torch.rand(1, bands, side, side)
    taken: dict[str, list[float]] = {name: [] for name in every}
    with open_lanes(2) as pool:
        for _ in range(rounds + 1):
            for name, way in every.items():
                started = time.perf_counter()
                list(pool.map(way, [image] * 4))
                taken[name].append(time.perf_counter() - started)
    return {name: 4e-6 * side**2 / statistics.median(some[1:]) for name, some in taken.items()}


def agreement(every: Mapping[str, Way], bands: tuple[str, ...]) -> dict[str, float]:
    """Share of the example's pixels that have float32's class."""
    with open_scene("examples/scene.tif") as scene:
        side = min(scene.grid.shape) // 32 * 32
        image, _ = scene.read(Window(0, 0, side, side), bands)
    batch = torch.from_numpy(np.nan_to_num(image))[None]
    classes = {name: way(batch) for name, way in every.items()}
    first = next(iter(classes.values()))
    return {name: float((its == first).double().mean()) for name, its in classes.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="default")
    parser.add_argument("--patches", type=int, nargs="+", default=[512, 1024, 1664])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--compile", action="store_true")
    given = parser.parse_args()
    keep_freed_memory()
    with tempfile.TemporaryDirectory() as name:
        every, bands = ways(given.model, Path(name), given.compile)
        agrees = agreement(every, load_model(given.model, CPU).card.bands)
        shapes = [(1, bands, side, side) for side in given.patches] + [(8, bands, 512, 512)]
        tables = [speeds(every, shape, given.rounds) for shape in shapes]
        abreast = two_lanes(every, bands, 1024, given.rounds)
    heads = [f"{n} x {side}²" for n, _, side, _ in shapes] + ["abreast"]
    print(f"{'Mpx/s':>28} " + " ".join(f"{head:>9}" for head in heads) + "   agrees  first run, s")
    for way in every:
        cells = " ".join(f"{table[way]:>9.1f}" for table in (*(t for t, _ in tables), abreast))
        print(f"{way:>28} {cells} {agrees[way]:>8.3%} {tables[0][1][way]:>14.1f}")


if __name__ == "__main__":
    main()
