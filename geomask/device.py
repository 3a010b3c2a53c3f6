"""Where and how a network runs: device and precision."""

from __future__ import annotations

from functools import cache

import torch

from geomask.errors import OptionError

PRECISIONS = ("auto", "fp32", "bf16")


def choose_device(name: str = "auto") -> torch.device:
    """The device for "auto", "cpu", "cuda", "cuda:N" or "mps".

    auto: the first CUDA GPU, else Apple's GPU, else the CPU.
    Raises OptionError for a name torch does not know or a device that is not there.
    """
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise OptionError(f"device {name!r} is none of auto, cpu, cuda, cuda:N, mps") from error
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise OptionError(
            f"device {name}: torch sees {torch.cuda.device_count()} CUDA GPU(s); "
            "use --device cpu, or check the driver"
        )
    if device.type == "mps" and not torch.backends.mps.is_available():
        raise OptionError("device mps: torch sees no Apple GPU; use --device cpu")
    if device.type not in ("cpu", "cuda", "mps"):
        raise OptionError(f"device {name!r} is none of auto, cpu, cuda, cuda:N, mps")
    return device


def choose_devices(names: str = "auto") -> tuple[torch.device, ...]:
    """Devices for a name of `choose_device`, several of them with commas, or "all": every CUDA GPU.

    Raises OptionError, also for "all" without one and for a device named twice.
    """
    if names == "all":
        count = torch.cuda.device_count()
        if not count:
            raise OptionError("device all: torch sees no CUDA GPU; use --device cpu")
        return tuple(torch.device("cuda", index) for index in range(count))
    devices = tuple(choose_device(name.strip()) for name in names.split(","))
    if len({(device.type, device.index or 0) for device in devices}) < len(devices):
        raise OptionError(f"device {names}: names one device twice")
    return devices


def choose_precision(name: str, device: torch.device) -> torch.dtype:
    """torch.float32 or torch.bfloat16 for "auto", "fp32" or "bf16".

    auto: bfloat16 where the processor computes in it, float32 elsewhere. Raises OptionError.
    """
    if name not in PRECISIONS:
        raise OptionError(f"precision {name!r} is none of {', '.join(PRECISIONS)}")
    if name == "auto":
        name = "bf16" if _has_bf16(device) else "fp32"
    return torch.bfloat16 if name == "bf16" else torch.float32


def _has_bf16(device: torch.device) -> bool:
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    if device.type == "cpu":
        capabilities = _cpu_capabilities()
        return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))
    return False


@cache
def _cpu_capabilities() -> dict[str, bool]:
    try:
        return dict(torch.cpu.get_capabilities())
    except AttributeError:
        pass  # before torch 2.10 or so
    ask = getattr(torch.cpu, "_is_avx512_bf16_supported", None)
    return {"avx512_bf16": bool(ask and ask())}
