"""Networks by name: whatever smp has, and the plain U-Net."""

from __future__ import annotations

import math
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from geomask.card import NetworkSpec, Normalisation
from geomask.checkpoint import load_model, save_model
from geomask.errors import ModelError, RecipeError
from geomask.network import Normalise, build_network, build_segmenter, stride_of
from tests.conftest import make_card


@pytest.mark.parametrize(
    ("architecture", "encoder"),
    [
        ("plain-unet", None),
        ("Unet", "resnet18"),
        ("UnetPlusPlus", "mobilenet_v2"),
        ("FPN", "efficientnet-b0"),
        ("DeepLabV3Plus", "resnet18"),
        ("Segformer", "mit_b0"),
    ],
)
def test_any_architecture_gives_logits_of_its_inputs_size(
    architecture: str, encoder: str | None
) -> None:
    options = {"width": 4} if encoder is None else {}
    spec = NetworkSpec(architecture=architecture, encoder=encoder, options=options)
    network = build_network(spec, bands=5, classes=3).eval()
    side = 2 * max(stride_of(network), 32)
    with torch.inference_mode():
        assert network(torch.rand(1, 5, side, side)).shape == (1, 3, side, side)


def test_the_plain_unet_is_the_papers_with_batchnorm() -> None:
    spec = NetworkSpec(architecture="plain-unet")
    network = build_network(spec, bands=9, classes=3)
    kinds = [type(module).__name__ for module in network.modules()]
    assert stride_of(network) == 16
    assert kinds.count("MaxPool2d") == 1, "one, used four times"
    assert kinds.count("ConvTranspose2d") == 4
    assert kinds.count("BatchNorm2d") == kinds.count("ReLU") == 18
    assert 30e6 < sum(p.numel() for p in network.parameters()) < 32e6


@pytest.mark.parametrize(
    "spec",
    [
        NetworkSpec(architecture="NoSuchNet", encoder="resnet18"),
        NetworkSpec(architecture="Unet", encoder="resnet18", options={"colour": "blue"}),
        NetworkSpec(architecture="plain-unet", options={"width": 0}),
    ],
)
def test_what_cannot_be_built_is_a_model_error(spec: NetworkSpec) -> None:
    with pytest.raises(ModelError):
        build_network(spec, bands=3, classes=2)


def test_normalisation_clips_quantises_and_standardises() -> None:
    """cloud-rgb's: reflectance clipped at 0.4, 8-bit steps, then a mean and a deviation."""
    spec = Normalisation(clip=(0.0, 0.4), levels=256, mean=(0.5,), std=(0.25,))
    x = torch.tensor([-0.1, 0.0, 0.2, 0.4, 0.9, torch.nan]).reshape(1, 1, 1, -1)
    steps = torch.tensor([0, 0, 128, 255, 255]) / 255
    expected = torch.cat([(steps - 0.5) / 0.25, torch.zeros(1)])
    torch.testing.assert_close(Normalise(spec)(x).flatten(), expected)


@pytest.mark.parametrize("levels", [None, 256])
def test_normalisation_bends_above_the_knee(levels: int | None) -> None:
    clip, knee = (0.1, 0.9), 0.05
    spec = Normalisation(clip=clip, levels=levels, knee=knee, mean=(0.5,), std=(0.25,))
    x = torch.tensor([0.0, 0.1, 0.3, 0.9, 1.5, torch.nan]).reshape(1, 1, 1, -1)
    t = ((x[..., :-1].clamp(*clip) - 0.1) / 0.8).flatten()
    t = t if levels is None else (t * 255).round() / 255
    bent = torch.log(1 + t / knee) / math.log(1 + 1 / knee)
    assert (bent[1], bent[3]) == pytest.approx((0, 1), abs=1e-6)
    expected = torch.cat([(bent - 0.5) / 0.25, torch.zeros(1)])
    torch.testing.assert_close(Normalise(spec)(x).flatten(), expected)


RESNET = NetworkSpec(architecture="Unet", encoder="resnet18", options={"encoder_depth": 3,
                     "decoder_channels": [8, 8, 8]})  # fmt: skip


def encoder_of(network: torch.nn.Module) -> dict[str, torch.Tensor]:
    return network.get_submodule("encoder").state_dict()


@pytest.mark.parametrize("prefix", ["", "encoder."])
def test_an_encoder_starts_from_a_file(tmp_path, prefix: str) -> None:
    """Its own weights, or those of a whole network, whose decoder is passed over."""
    given = encoder_of(build_network(RESNET, bands=3, classes=2))
    weights = {prefix + key: value.contiguous() for key, value in given.items()}
    weights |= {"head.weight": torch.zeros(1)} if prefix else {}
    save_file(weights, tmp_path / "w.safetensors")
    network = build_network(
        RESNET, bands=3, classes=5, encoder_weights=str(tmp_path / "w.safetensors")
    )
    torch.testing.assert_close(dict(encoder_of(network)), dict(given))


def test_a_first_layer_is_spread_over_more_bands_as_smp_spreads_imagenets(tmp_path) -> None:
    """Band 3 takes red's weights again; all are scaled by 3 / 4, so a grey input gives the same."""
    given = encoder_of(build_network(RESNET, bands=3, classes=2))
    path = tmp_path / "w.safetensors"
    save_file({key: value.contiguous() for key, value in given.items()}, path)
    network = build_network(RESNET, bands=4, classes=2, encoder_weights=str(path))
    kernel = encoder_of(network)["conv1.weight"]
    expected = torch.cat([given["conv1.weight"], given["conv1.weight"][:, :1]], dim=1) * 0.75
    torch.testing.assert_close(kernel, expected)


@pytest.mark.parametrize("encoder", ["resnet18", "tu-regnetx_002"])
@pytest.mark.filterwarnings("ignore:For 'tu-'")
def test_weights_that_cannot_be_fetched_are_refused_with_the_way_out(
    tmp_path, monkeypatch, encoder: str
) -> None:
    """Offline, and with nothing in the cache, as on a machine without a network."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    spec = NetworkSpec(architecture="Unet", encoder=encoder)
    with pytest.raises(RecipeError) as caught:
        build_network(spec, bands=4, classes=2, encoder_weights="imagenet")
    message = str(caught.value)
    assert f"encoder_weights imagenet of {encoder} cannot be downloaded" in message
    assert "give --set network.encoder_weights=none, or a .safetensors file" in message


@pytest.fixture(params=["refuses", "is silent"])
def dead_hub(request, tmp_path, monkeypatch) -> Iterator[None]:
    """A hub that lets nobody in, or lets them wait; nothing is in the cache."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        if request.param == "refuses":
            server.close()
        monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", f"http://127.0.0.1:{port}")
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
        monkeypatch.setattr("geomask.network.HUB_SECONDS", 0.5)
        yield


@pytest.mark.usefixtures("dead_hub")
def test_a_hub_that_does_not_answer_is_not_waited_for(caplog) -> None:
    from huggingface_hub import constants

    before, started = constants.HF_HUB_OFFLINE, time.monotonic()
    with pytest.raises(RecipeError, match="encoder_weights imagenet of resnet18 cannot be downlo"):
        build_network(RESNET, bands=3, classes=2, encoder_weights="imagenet")
    assert time.monotonic() - started < 10, "huggingface_hub's own patience is half a minute"
    assert not caplog.records, "and it says so each time"
    assert constants.HF_HUB_OFFLINE is before


def test_weights_that_do_not_fit_are_refused_with_the_way_out(tmp_path) -> None:
    path = tmp_path / "w.safetensors"
    with pytest.raises(RecipeError, match=r"w\.safetensors: cannot be read .*--set network"):
        build_network(RESNET, bands=3, classes=2, encoder_weights=str(path))
    save_file({"conv1.weight": torch.zeros(1)}, path)
    with pytest.raises(RecipeError, match=r"w\.safetensors: does not fit the encoder \(Error.*set"):
        build_network(RESNET, bands=3, classes=2, encoder_weights=str(path))
    plain = NetworkSpec(architecture="plain-unet", options={"width": 2})
    with pytest.raises(RecipeError, match="plain-unet has no encoder that others have trained"):
        build_network(plain, bands=3, classes=2, encoder_weights="imagenet")
    with pytest.raises(ModelError, match="Wrong pretrained weights `moon`"):
        build_network(RESNET, bands=3, classes=2, encoder_weights="moon")


@pytest.mark.slow
def test_an_encoder_that_throws_parts_away_can_be_loaded_again(tmp_path: Path) -> None:
    """VGG's builds 120 million numbers more than it keeps."""
    card = make_card(stride=32, network={"architecture": "unet", "encoder": "vgg11"})
    save_model(tmp_path / "m.safetensors", build_segmenter(card), card)
    assert load_model(tmp_path / "m.safetensors").card == card


def test_options_that_smp_trips_over_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """As smp 0.6 does over its own option decoder_use_norm="instancenorm"."""

    def trip(*_: object, **__: object) -> None:
        raise AttributeError("'NoneType' object has no attribute 'fill_'")

    monkeypatch.setattr("segmentation_models_pytorch.create_model", trip)
    spec = NetworkSpec(architecture="unet", encoder="resnet18")
    with pytest.raises(ModelError, match="cannot build 'unet'"):
        build_network(spec, bands=3, classes=2)
