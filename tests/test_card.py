"""Invariant 10: a model file is self-contained and inert."""

from __future__ import annotations

import json
import os
import pickle
import struct
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from safetensors.torch import save_file

from geomask.card import CARD_KEY, Card, card_to_text, read_card
from geomask.checkpoint import load_model, save_model
from geomask.cli import cli
from geomask.errors import GeomaskWarning, ModelError, OutputError
from geomask.model_files import find_model, list_models
from geomask.network import Segmenter, build_segmenter
from tests.conftest import make_card
from tests.faults.limits import disk_full


def test_a_card_comes_back_as_it_was_saved(tmp_path: Path) -> None:
    card = make_card(stride=16, metrics={"iou": {"cloud": 0.5}}, licence="MIT")
    path = tmp_path / "m.safetensors"
    save_model(path, build_segmenter(card), card)
    assert read_card(path) == card
    assert load_model(path).card == card


def test_weights_come_back_close_in_half_and_exactly_in_full(tmp_path: Path) -> None:
    card = make_card(stride=16)
    network = build_segmenter(card).eval()
    x = torch.rand(1, 3, 32, 32)
    expected = network(x)
    for half, tolerance in ((True, 1e-2), (False, 1e-5)):
        path = tmp_path / f"{half}.safetensors"
        save_model(path, network, card, half=half)
        torch.testing.assert_close(
            load_model(path).network(x), expected, atol=tolerance, rtol=tolerance
        )


def test_weights_too_large_for_half_precision_come_back_as_they_were(tmp_path: Path) -> None:
    card = make_card(stride=16)
    network = build_segmenter(card)
    with torch.no_grad():
        network.body.head.weight.fill_(1e5)
    save_model(tmp_path / "m.safetensors", network, card)
    assert bool((load_model(tmp_path / "m.safetensors").network.body.head.weight == 1e5).all())


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_a_model_with_a_weight_that_is_no_number_is_refused(tmp_path: Path, value: float) -> None:
    card = make_card(stride=16)
    network = build_segmenter(card)
    with torch.no_grad():
        network.body.head.weight[0, 0] = value
    save_model(tmp_path / "m.safetensors", network, card)
    with pytest.raises(
        ModelError, match=r"m\.safetensors: its weights head\.weight are not finite"
    ):
        load_model(tmp_path / "m.safetensors")


def test_a_loaded_network_takes_absent_bands_as_nan(model_file: Path) -> None:
    model = load_model(model_file)
    x = torch.rand(1, 3, 32, 32)
    x[:, 1] = torch.nan
    logits = model.network(x)
    assert logits.shape == (1, 3, 32, 32)
    assert torch.isfinite(logits).all()


def test_loading_a_model_never_unpickles(model_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object, **kwargs: object) -> None:
        raise AssertionError("unpickled")

    monkeypatch.setattr(pickle, "loads", refuse)
    monkeypatch.setattr(pickle, "Unpickler", refuse)
    monkeypatch.setattr(torch, "load", refuse)
    load_model(model_file)


def test_a_pickle_is_refused_and_not_run(tmp_path: Path) -> None:
    witness = tmp_path / "witness"

    class Bomb:
        def __reduce__(self) -> tuple[object, tuple[Path]]:
            return Path.touch, (witness,)

    old, new = tmp_path / "old.pth", tmp_path / "new.safetensors"
    old.write_bytes(pickle.dumps(Bomb()))
    torch.save({"w": torch.zeros(1)}, new)
    for path in (old, new):
        with pytest.raises(ModelError, match="pickle"):
            load_model(str(path))
    assert not witness.exists()


@pytest.mark.parametrize("keep", [0, 4, 8, 100, 2000, -1])
def test_a_truncated_model_is_refused(model_file: Path, tmp_path: Path, keep: int) -> None:
    path = tmp_path / "cut.safetensors"
    path.write_bytes(model_file.read_bytes()[:keep])
    with pytest.raises(ModelError, match=str(path)):
        load_model(path)


@pytest.mark.parametrize(
    "content",
    [
        b"hello",
        b"II*\0" + bytes(100),
        struct.pack("<Q", 2**60),
        struct.pack("<Q", 6) + b"[[[[[[",
        struct.pack("<Q", 200_000) + b"[" * 200_000,
    ],
)
def test_a_file_that_is_not_ours_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "odd.safetensors"
    path.write_bytes(content)
    with pytest.raises(ModelError, match="not a geomask model"):
        load_model(path)


def test_safetensors_without_a_card_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "bare.safetensors"
    save_file({"w": torch.zeros(1)}, path)
    with pytest.raises(ModelError, match="without a geomask card"):
        load_model(path)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"classes": []}, "classes"),
        ({"surprise": 1}, "surprise"),
        ({"stride": 0}, "stride"),
        ({"bands": ["red", "red", "nir"]}, "repeat"),
        ({"band_sets": [["mauve"]]}, "band set"),
        ({"resolution": [30, 10]}, "resolution"),
        ({"name": "../escape"}, "name"),
        ({"network": {"architecture": "os; system"}}, "architecture"),
    ],
)
def test_a_card_that_is_wrong_is_refused_with_its_field(
    tmp_path: Path, change: dict[str, object], complaint: str
) -> None:
    values = json.loads(card_to_text(make_card())) | change
    path = tmp_path / "wrong.safetensors"
    save_file({"w": torch.zeros(1)}, path, metadata={CARD_KEY: json.dumps(values)})
    with pytest.raises(ModelError, match=complaint):
        read_card(path)


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.safetensors"
    save_file({"w": torch.zeros(1)}, path, metadata={CARD_KEY: card_to_text(make_card())})
    with pytest.raises(ModelError, match="do not fit its card"):
        load_model(path)


def test_what_does_not_fit_is_told_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "other.safetensors"
    save_file({"w": torch.zeros(1)}, path, metadata={CARD_KEY: card_to_text(make_card())})
    with pytest.raises(ModelError, match=r"for PlainUNet: Missing key\(s\)") as caught:
        load_model(path)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < len(str(path)) + 250


@pytest.mark.parametrize("stride", [1, 8, 24])
def test_a_stride_the_network_cannot_keep_is_refused(tmp_path: Path, stride: int) -> None:
    path = tmp_path / "odd.safetensors"
    card = make_card(stride=stride)
    save_model(path, build_segmenter(card), card)
    with pytest.raises(ModelError, match=rf"stride {stride}, .* multiple of 16"):
        load_model(path)


def test_an_smp_network_needs_its_encoders_stride(tmp_path: Path) -> None:
    spec = {"architecture": "Unet", "encoder": "mobileone_s0"}
    for stride in (16, 64):
        path = tmp_path / f"{stride}.safetensors"
        card = Card.model_validate(make_card().model_dump() | {"network": spec, "stride": stride})
        save_model(path, build_segmenter(card), card)
    with pytest.raises(ModelError, match=r"stride 16, .* multiple of 32"):
        load_model(tmp_path / "16.safetensors")
    assert load_model(tmp_path / "64.safetensors").card.stride == 64


def test_an_encoder_that_smp_does_not_know_is_refused(tmp_path: Path) -> None:
    spec = {"architecture": "Unet", "encoder": "no-such"}
    values = json.loads(card_to_text(make_card())) | {"network": spec}
    path = tmp_path / "odd.safetensors"
    save_file({"w": torch.zeros(1)}, path, metadata={CARD_KEY: json.dumps(values)})
    with pytest.raises(ModelError, match="no-such"):
        load_model(path)


def test_models_are_found_by_name_in_named_folders(
    model_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GEOMASK_MODELS", str(model_file.parent))
    assert ("tiny", model_file) in list(list_models())
    assert find_model("tiny") == model_file


def test_an_unknown_model_names_those_there_are(
    model_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GEOMASK_MODELS", str(model_file.parent))
    with pytest.raises(ModelError, match=r"no model is called 'huge'; there are: .*tiny"):
        find_model("huge")
    with pytest.raises(ModelError, match="no such model file"):
        find_model("absent.safetensors")


def test_what_lies_in_the_current_folder_shadows_no_name(
    model_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GEOMASK_MODELS", str(model_file.parent))
    folder = tmp_path / "work"
    folder.mkdir()
    (folder / "tiny").write_text("notes")
    (folder / "old.pth").write_bytes(pickle.dumps(1, protocol=4))
    monkeypatch.chdir(folder)
    assert find_model("tiny") == model_file
    with pytest.raises(ModelError, match="pickle"):
        load_model("old.pth")
    with pytest.raises(ModelError, match="not a geomask model"):
        load_model("./tiny")
    (folder / "notes.txt").write_text("notes")
    with pytest.raises(ModelError, match="not a geomask model"):
        load_model("notes.txt")
    with pytest.raises(ModelError, match="no model is called"):
        find_model("x" * 300)


@pytest.mark.parametrize("path", [f"./{'x' * 300}", f"{'x' * 300}.safetensors", "./x\0y"])
def test_a_path_no_file_can_have_is_refused(path: str) -> None:
    with pytest.raises(ModelError, match="cannot be opened as a model file: "):
        find_model(path)


def test_a_folder_is_no_model_file(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no such model file"):
        find_model(tmp_path)


def test_a_path_that_may_not_be_looked_at_is_refused(
    model_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*args: object, **kwargs: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "stat", refuse)  # root may look everywhere, so no chmod
    with pytest.raises(ModelError, match=r"tiny.safetensors: cannot be .*: Permission denied"):
        find_model(model_file)


def test_folders_that_cannot_be_read_are_left_out_with_a_warning(
    model_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(
        "GEOMASK_MODELS", os.pathsep.join(["x" * 300, "/no/such/folder", str(model_file.parent)])
    )
    with pytest.warns(GeomaskWarning, match="its models are left out: File name too long"):
        assert find_model("tiny") == model_file


def test_a_damaged_model_does_not_hide_the_others(
    model_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GEOMASK_MODELS", str(model_file.parent))
    (model_file.parent / "bad.safetensors").write_bytes(b"hello")
    with pytest.warns(GeomaskWarning, match=r"left out: .*bad.safetensors: is not a geomask model"):
        result = CliRunner().invoke(cli, ["models", "list", "--json"])
    assert result.exit_code == 0, result.output
    names = [entry["name"] for entry in json.loads(result.stdout)]
    assert "tiny" in names
    assert "bad" not in names


def test_the_first_band_set_a_scene_has_is_chosen() -> None:
    card = make_card(band_sets=(("red", "green", "nir"), ("red", "nir")))
    assert card.choose_bands(("nir", "blue", "red")) == ("red", "nir")
    assert card.choose_bands(("nir", "green", "red")) == ("red", "green", "nir")
    assert card.choose_bands(("nir",)) is None


def test_a_number_that_json_has_not_is_none() -> None:
    numbers = {"iou": {"cloud": float("nan")}, "all": (1, float("inf"), "nan")}
    card = make_card(metrics=numbers, provenance=numbers)
    for told in (card.metrics, card.provenance):
        assert told == {"iou": {"cloud": None}, "all": [1, None, "nan"]}
    assert Card.model_validate_json(card_to_text(card)) == card


def test_cards_are_plain_values() -> None:
    card = make_card()
    assert Card.model_validate_json(card_to_text(card)) == card


def test_a_disk_that_is_full_leaves_the_older_model(model_file: Path) -> None:
    before = model_file.read_bytes()
    model = load_model(model_file)
    assert isinstance(model.network, Segmenter)
    with disk_full(len(before) // 2), pytest.raises(OutputError, match="is the disk full"):
        save_model(model_file, model.network, model.card)
    assert model_file.read_bytes() == before
    assert [path.name for path in model_file.parent.iterdir()] == [model_file.name]


@pytest.mark.parametrize("share", [0.5, 0.9, 0.999])
def test_a_file_whose_weights_are_cut_short_is_known_by_its_header(
    model_file: Path, share: float
) -> None:
    data = model_file.read_bytes()
    model_file.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(ModelError, match="is cut short or damaged"):
        read_card(model_file)
    model_file.write_bytes(data + b"0")
    with pytest.raises(ModelError, match="is cut short or damaged"):
        read_card(model_file)
