"""Evaluation of models and masks on tiny chip folders; the identity network is the oracle."""

from __future__ import annotations

import csv
import json
import tracemalloc
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio

import geomask
from geomask.card import ClassEntry, Normalisation
from geomask.errors import (
    BandError,
    GeomaskWarning,
    MaskError,
    OptionError,
    OutputError,
    RecipeError,
)
from geomask.evaluation import evaluate, plan_evaluation, subject, tally, write_evaluation
from geomask.evaluation.mappings import (
    classes_of_codes,
    classes_of_labels,
    parse_codes,
    parse_labels,
)
from geomask.predict import Progress
from tests.conftest import CLASSES, TRANSFORM, UTM, identity_model, random_dn, unet_model

Chips = dict[str, tuple[np.ndarray, np.ndarray]]
Folder = Callable[..., Path]

CLOUD_OR_NOT: dict[str, Any] = {
    "classes": CLASSES[:2],
    "bands": ("red", "green"),
    "normalisation": Normalisation(mean=(0.0, 0.0), std=(1.0, 1.0)),
}
"""Changes to a card that make it a model without shadow."""

SNOWY = (*CLASSES, ClassEntry(code=3, name="snow", color=(86, 180, 233)))


def image_of(codes: np.ndarray) -> np.ndarray:
    """uint16 (3, height, width): the identity network calls it `codes`; 255: not measured."""
    dn = np.where(codes == np.arange(3)[:, None, None], 5000, 1000).astype(np.uint16)
    dn[:, codes == 255] = 0
    return dn


def write(path: Path, values: np.ndarray, **profile: Any) -> Path:
    """A raster; bands, where there are three, are red, green, nir."""
    values = values if values.ndim == 3 else values[None]
    options = {"crs": UTM, "transform": TRANSFORM, "driver": "GTiff", **profile}
    count, height, width = values.shape
    with rasterio.open(
        path, "w", count=count, height=height, width=width, dtype=values.dtype, **options
    ) as dataset:
        dataset.write(values)
        if count == 3:
            dataset.descriptions = ("red", "green", "nir")
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    """make(chips, name="chips", groups=None, **columns) -> the chip folder.

    chips: by id (image uint16 (3, h, w), labels uint8 (h, w)). groups: split_group by id, else
    each chip its own. columns: of the manifest, a value for all chips or one for each.
    """

    def make(
        chips: Chips,
        name: str = "chips",
        groups: dict[str, str] | None = None,
        georeference: dict[str, Any] | None = None,
        **columns: str | Sequence[str],
    ) -> Path:
        place = tmp_path / name
        place.mkdir()
        rows = []
        for number, (chip_id, (image, labels)) in enumerate(chips.items()):
            write(place / f"{chip_id}.tif", image, nodata=0, **(georeference or {}))
            write(place / f"{chip_id}_mask.tif", labels, **(georeference or {}))
            row = {"id": chip_id, "split_group": (groups or {}).get(chip_id, f"at {chip_id}")}
            row |= {k: v if isinstance(v, str) else v[number] for k, v in columns.items()}
            rows.append(row)
        with (place / "manifest.csv").open("w", newline="") as file:
            writer = csv.DictWriter(file, rows[0])
            writer.writeheader()
            writer.writerows(rows)
        return place

    return make


def two_chips() -> Chips:
    """Codes found and labels, of which some are wrong, ignored, thin, or not measured.

    a: 3 clear right, 1 clear called cloud, 2 thick right, 2 thin of which 1 right, 1 shadow right,
    1 snow called clear, 1 of code 99. b: 2 clear right, 1 cloud not measured.
    """
    found = np.array([[0, 0, 0, 1, 1, 1, 1, 0, 2, 0, 0]], np.uint8)
    labels = np.array([[0, 0, 0, 0, 1, 1, 2, 2, 3, 4, 99]], np.uint8)
    again = np.array([[0, 0, 255]], np.uint8), np.array([[0, 0, 1]], np.uint8)
    return {"a": (image_of(found), labels), "b": (image_of(again[0]), again[1])}


def test_numbers_by_hand(folder: Folder) -> None:
    """The model has no snow: its label is neither guessed at nor forgotten."""
    result = evaluate(model=identity_model(), data=[folder(two_chips())], split="all")
    assert result.confusion == ((5, 1, 0), (1, 3, 0), (0, 0, 1))
    assert [c.unpredicted for c in result.classes] == [0, 1, 0]
    assert [c.pixels for c in result.classes] == [6, 5, 1]
    assert [c.predicted for c in result.classes] == [6, 4, 1]
    assert result.overall.pixels == 12
    assert result.overall.unpredicted == 1
    assert result.ignored == {"snow": 1, "unknown": 1}
    assert result.labels["snow"] is None
    clear, cloud, shadow = result.classes
    assert cloud.iou.value == pytest.approx(3 / 6)
    assert cloud.precision.value == pytest.approx(3 / 4)
    assert cloud.recall.value == pytest.approx(3 / 5)
    assert cloud.f1.value == pytest.approx(6 / 9)
    assert clear.iou.value == pytest.approx(5 / 7)
    assert shadow.iou.value == 1
    assert result.overall.accuracy.value == pytest.approx(9 / 12)
    assert result.overall.balanced_accuracy.value == pytest.approx((5 / 6 + 3 / 5 + 1) / 3)
    assert result.overall.macro_iou.value == pytest.approx((3 / 6 + 5 / 7 + 1) / 3)
    assert result.thin_cloud is not None
    assert (result.thin_cloud.class_name, result.thin_cloud.pixels) == ("cloud", 2)
    assert result.thin_cloud.recall.value == pytest.approx(1 / 2)


def test_chips_and_groups_have_rows_of_their_own(folder: Folder) -> None:
    data = folder(two_chips(), sensor=["one", "two"], light="dim", extra="x")
    result = evaluate(model=identity_model(), data=[data], split="all", by=["light"])
    a, b = result.chip_rows
    assert (a.id, a.group, a.height, a.width) == ("a", "at a", 1, 11)
    assert a.bands == ("red", "green", "nir")
    assert a.fields == {"sensor": "one", "light": "dim"}
    assert (a.scores.pixels, a.scores.ignored, a.scores.unpredicted) == (9, 2, 0)
    assert a.scores.accuracy == pytest.approx(7 / 9)
    assert b.scores.iou == {"clear": 1.0, "cloud": 0.0, "shadow": None}
    assert result.by == ("split_group", "sensor", "light")
    by_light = [row for row in result.group_rows if row.column == "light"]
    assert [(row.value, row.chips, row.scores.pixels) for row in by_light] == [("dim", 2, 12)]
    assert [row.value for row in result.group_rows if row.column == "sensor"] == ["one", "two"]


def test_a_column_that_is_not_there_is_refused_with_those_that_are(folder: Folder) -> None:
    with pytest.raises(OptionError, match=r"column 'colour'.*id, split_group"):
        evaluate(model=identity_model(), data=[folder(two_chips())], split="all", by=["colour"])


def test_intervals_are_over_groups_and_absent_where_one_group_knows_the_class(
    folder: Folder,
) -> None:
    result = evaluate(model=identity_model(), data=[folder(two_chips())], split="all")
    accuracy = result.overall.accuracy
    assert (accuracy.low, accuracy.high) == pytest.approx((2 / 3, 7 / 9))
    shadow = result.classes[2]
    assert (shadow.iou.low, shadow.iou.high) == (None, None)
    one = folder(two_chips(), "one", {"a": "same", "b": "same"})
    result = evaluate(model=identity_model(), data=[one], split="all")
    assert result.groups == 1
    assert result.overall.accuracy.low is None


def test_a_model_is_scored_on_what_predict_writes(folder: Folder, tmp_path: Path) -> None:
    """Masks that predict made of the chips score as the model does, boundaries included."""
    rng = np.random.default_rng(5)
    chips = {
        name: (random_dn(150, 170, seed=seed), rng.integers(0, 5, (150, 170)).astype(np.uint8))
        for seed, name in enumerate("ab")
    }
    chips["a"][0][:, 40:60, 40:60] = 0
    data = folder(chips)
    model = unet_model()
    masks = tmp_path / "masks"
    masks.mkdir()
    for name in chips:
        with pytest.warns(GeomaskWarning):  # the image states no scale
            geomask.predict_scene(data / f"{name}.tif", masks / f"{name}.tif", model=model)
    by_model = evaluate(model=model, data=[data], split="all")
    by_masks = evaluate(masks=masks, data=[data], split="all")
    assert by_model.confusion == by_masks.confusion
    assert by_model.chip_rows[0].scores == by_masks.chip_rows[0].scores
    assert by_model.overall == by_masks.overall
    assert by_model.overall.unpredicted > 0
    assert [c.boundary for c in by_model.classes] == [c.boundary for c in by_masks.classes]
    assert all(c.curve is not None for c in by_model.classes)
    assert all(c.curve is None for c in by_masks.classes)


def test_the_order_and_size_of_patches_change_no_count(folder: Folder) -> None:
    labels = np.random.default_rng(0).integers(0, 5, (200, 130)).astype(np.uint8)
    data = folder({"a": (random_dn(200, 130), labels)})
    large, small = (
        evaluate(model=identity_model(), data=[data], split="all", patch=patch)
        for patch in (None, 48)
    )
    assert small.to_json() == large.to_json()


def test_a_stated_pixel_size_is_that_of_the_chip(folder: Folder) -> None:
    """A chip without CRS, or with a wrong one, is resampled for the model as its gsd_m says."""
    rng = np.random.default_rng(2)
    chips = {"a": (random_dn(64, 64), rng.integers(0, 4, (64, 64)).astype(np.uint8))}
    coarse = rasterio.Affine(40, 0, 500_000, 0, -40, 5_000_000)
    model = identity_model(resolution=(10.0, 20.0))

    def confusion(name: str, georeference: dict[str, Any], **columns: str) -> Any:
        data = folder(chips, name, georeference=georeference, **columns)
        return evaluate(model=model, data=[data], split="all").confusion

    nowhere = {"crs": None, "transform": rasterio.Affine(2, 0, 0, 0, -2, 0)}
    at_40_m = confusion("there", {"transform": coarse})
    assert confusion("stated", nowhere, gsd_m="40") == at_40_m
    assert confusion("unknown", nowhere) != at_40_m, "taken at its native pixels"
    assert confusion("overridden", {}, gsd_m="40 (of 10)") == at_40_m


def test_digital_numbers_mean_what_they_mean_in_training(folder: Folder) -> None:
    """Without a stated scale DN / 10000; the recipe's rules, not predict's refusals."""
    data = folder(two_chips())
    chip = plan_evaluation(model=identity_model(), data=[data], split="all").chips[0]
    with subject.chip_scene(chip) as scene:
        image, valid = scene.read(rasterio.windows.Window(0, 0, 11, 1), ["red", "nir"])
    np.testing.assert_allclose(image, geomask.training.chips.read_image(chip, ["red", "nir"]))
    assert image[0, 0, 0] == pytest.approx(0.5)
    assert valid.all()


def test_labels_count_as_the_models_recipe_says(folder: Folder) -> None:
    """A cloud-or-not model: shadow is clear if it was trained so, and else it is not scored."""
    data = folder(two_chips())
    silent = identity_model(**CLOUD_OR_NOT)
    labels = {"clear": "clear", "shadow": "clear", "thin_cloud": "cloud"}
    told = identity_model(**CLOUD_OR_NOT, provenance={"recipe": {"labels": labels}})
    results = [
        evaluate(model=model, data=[data], split="all", labels=stated)
        for model, stated in ((silent, None), (told, None), (silent, {"snow": "clear"}))
    ]
    unsaid, trained, folded = results
    assert unsaid.ignored == {"shadow": 1, "snow": 1, "unknown": 1}
    assert trained.ignored == {"thick_cloud": 3, "snow": 1, "unknown": 1}
    assert trained.labels["shadow"] == "clear"
    assert folded.ignored == {"shadow": 1, "unknown": 1}
    assert folded.classes[0].pixels == 7
    with pytest.raises(OptionError, match="unknown class 'fog'"):
        evaluate(model=silent, data=[data], split="all", labels={"snow": "fog"})


def test_a_label_goes_to_the_class_of_its_own_name_first() -> None:
    names = ("clear", "thick_cloud", "cloud")
    entries = tuple(ClassEntry(code=i, name=n, color=(0, 0, 0)) for i, n in enumerate(names))
    table = identity_model(classes=entries).card.class_table
    labels = classes_of_labels(table)
    assert labels == {
        "clear": "clear",
        "thick_cloud": "thick_cloud",
        "thin_cloud": "cloud",
        "shadow": None,
        "snow": None,
    }


def test_a_model_of_other_classes_needs_to_be_told() -> None:
    entries = tuple(ClassEntry(code=i, name=n, color=(0, 0, 0)) for i, n in enumerate("ab"))
    table = identity_model(classes=entries).card.class_table
    with pytest.raises(OptionError, match="--labels clear=a"):
        classes_of_labels(table)


class TestSplits:
    """Which chips are scored."""

    def three(self) -> Chips:
        return {name: two_chips()["a"] for name in ("a", "b", "c")}

    def test_the_manifest_decides(self, folder: Folder) -> None:
        data = folder(self.three(), split=["train", "test", "test"])
        result = evaluate(model=identity_model(), data=[data])
        assert [row.id for row in result.chip_rows] == ["b", "c"]
        with pytest.raises(OptionError, match="of the split val, since 2 are of test, 1 are"):
            evaluate(model=identity_model(), data=[data], split="val")

    def test_without_a_column_every_subject_is_scored_on_the_same_chips(
        self, folder: Folder
    ) -> None:
        chips = {f"c{n}": two_chips()["a"] for n in range(12)}
        data = folder(chips)
        first, second = (
            plan_evaluation(model=model, data=[data], split="val").chips
            for model in (identity_model(), identity_model(classes=SNOWY[:3], name="other"))
        )
        assert [chip.id for chip in first] == [chip.id for chip in second]
        assert 0 < len(first) < 12

    def test_held_out_groups_are_those_of_the_card(self, folder: Folder) -> None:
        data = folder(self.three())
        recipe = {"data": {"validation_groups": ["elsewhere"]}}
        held = {"validation_groups": ["at b"], "test_groups": ["at c"], "recipe": recipe}
        model = identity_model(provenance=held)
        result = evaluate(model=model, data=[data], split="held-out")
        assert [row.id for row in result.chip_rows] == ["b", "c"]
        assert result.seen_groups == ()

    def test_chips_that_the_model_was_trained_on_are_warned_of(self, folder: Folder) -> None:
        data = folder(self.three())
        model = identity_model(provenance={"validation_groups": ["at b"]})
        with pytest.warns(GeomaskWarning, match=r"trained on 2 of the 3 groups.*held-out"):
            result = evaluate(model=model, data=[data], split="all")
        assert result.seen_groups == ("at a", "at c")

    def test_a_card_that_names_what_it_was_trained_on_is_taken_at_its_word(
        self, folder: Folder
    ) -> None:
        data = folder(self.three())
        free = folder({"f": two_chips()["a"]}, "free", cloud_free="yes")
        trained = {"training_groups": ["at a", "at f"], "validation_groups": ["at b"]}
        model = identity_model(provenance=trained)
        with pytest.warns(GeomaskWarning, match=r"trained on 2 of the 4 groups"):
            result = evaluate(model=model, data=[data], split="all", clear=[free])
        assert result.seen_groups == ("at a", "at f"), "and not c, of which it knows nothing"
        elsewhere = identity_model(provenance={"training_groups": ["at a"]})
        with pytest.warns(GeomaskWarning, match=r"trained on 1 of the 3 groups"):
            assert evaluate(model=elsewhere, data=[data], split="all").seen_groups == ("at a",)

    def test_a_card_that_names_other_groups_says_nothing_of_these(self, folder: Folder) -> None:
        model = identity_model(provenance={"validation_groups": ["elsewhere"]})
        result = evaluate(model=model, data=[folder(self.three())], split="all")
        assert result.seen_groups == ()

    def test_held_out_needs_a_card_that_says_so(self, folder: Folder) -> None:
        with pytest.raises(OptionError, match="names its validation groups"):
            evaluate(model=identity_model(), data=[folder(self.three())], split="held-out")

    def test_a_word_that_is_no_split(self, folder: Folder) -> None:
        with pytest.raises(OptionError, match="split 'tset' is none of test, val"):
            evaluate(model=identity_model(), data=[folder(self.three())], split="tset")

    def test_an_id_in_two_folders(self, folder: Folder) -> None:
        both = [folder(two_chips()), folder(two_chips(), "again")]
        with pytest.raises(RecipeError, match="as a; give each"):
            evaluate(model=identity_model(), data=both, split="all")


class TestMasks:
    """Masks of other tools."""

    @pytest.fixture
    def masks(self, tmp_path: Path) -> Path:
        place = tmp_path / "masks"
        place.mkdir()
        return place

    def score(self, data: Path, masks: Path, mapping: Any = "scl", **options: Any) -> Any:
        return evaluate(masks=masks, mapping=mapping, data=[data], split="all", **options)

    def test_codes_of_sen2cor(self, folder: Folder, masks: Path) -> None:
        """4, 6 and 7 are clear, 8 to 10 cloud, 3 shadow, 11 snow; 0 and 1 are no answer."""
        labels = np.array([[0, 0, 0, 1, 1, 2, 3, 4, 1, 0]], np.uint8)
        found = np.array([[4, 6, 7, 8, 9, 10, 3, 11, 1, 0]], np.uint8)
        data = folder({"a": (image_of(np.zeros_like(labels)), labels)})
        write(masks / "a_mask.tif", found)
        result = self.score(data, masks)
        assert [c.name for c in result.classes] == ["clear", "cloud", "shadow", "snow"]
        assert np.diag(result.confusion).tolist() == [3, 3, 1, 1]
        assert result.overall.accuracy.value == pytest.approx(8 / 10)
        assert result.overall.unpredicted == 2
        assert result.thin_cloud is not None
        assert result.thin_cloud.recall.value == 1
        assert result.subject["codes"]["10"] == "cloud"

    def test_codes_of_fmask_and_a_nodata_value_of_the_file(
        self, folder: Folder, masks: Path
    ) -> None:
        labels = np.array([[0, 0, 3, 4, 1, 0, 0]], np.uint8)
        data = folder({"a": (image_of(np.zeros_like(labels)), labels)})
        write(masks / "a.tif", np.array([[0, 1, 2, 3, 4, 255, 9]], np.uint8), nodata=9)
        result = self.score(data, masks, "fmask")
        assert np.diag(result.confusion).tolist() == [2, 1, 1, 1]
        assert result.overall.unpredicted == 2

    def test_a_tool_without_a_class_is_not_scored_on_its_labels(
        self, folder: Folder, masks: Path
    ) -> None:
        data = folder(two_chips())
        write(masks / "a.tif", np.array([[0, 0, 0, 1, 1, 1, 1, 0, 0, 0, 0]], np.uint8))
        write(masks / "b.tif", np.array([[0, 0, 0]], np.uint8))
        result = self.score(data, masks, "0=clear,1=cloud")
        assert [c.name for c in result.classes] == ["clear", "cloud"]
        assert result.ignored == {"shadow": 1, "snow": 1, "unknown": 1}
        folded = self.score(data, masks, {0: "clear", 1: "cloud"}, labels={"shadow": "clear"})
        assert folded.confusion[0] == (6, 1)

    def test_a_code_that_nothing_was_said_of(self, folder: Folder, masks: Path) -> None:
        labels = np.zeros((1, 3), np.uint8)
        data = folder({"a": (image_of(labels), labels)})
        write(masks / "a.tif", np.array([[0, 1, 7]], np.uint8))
        with pytest.raises(MaskError, match=r"a\.tif: holds 7, of which nothing was said.*--map"):
            self.score(data, masks, "0=clear,1=cloud")

    @pytest.mark.parametrize(
        ("nodata", "mapping", "message"),
        [
            (0, "0=clear,1=cloud", "nodata, which is code 0 here, and --map says that this is cl"),
            (9, "0=clear,255=cloud", "nodata, which is code 255 here, .* this is cloud"),
            (255, "0=clear,255=cloud", "nodata, which is code 255 here, .* this is cloud"),
        ],
    )
    def test_a_class_is_not_what_the_mask_calls_nodata(
        self, folder: Folder, masks: Path, nodata: int, mapping: str, message: str
    ) -> None:
        labels = np.array([[0, 0, 1]], np.uint8)
        data = folder({"a": (image_of(labels), labels)})
        write(masks / "a.tif", labels, nodata=nodata)
        with pytest.raises(OptionError, match=message):
            self.score(data, masks, mapping)

    def test_255_is_a_class_where_that_is_said_and_the_mask_has_no_nodata(
        self, folder: Folder, masks: Path
    ) -> None:
        labels = np.array([[0, 0, 1]], np.uint8)
        data = folder({"a": (image_of(labels), labels)})
        write(masks / "a.tif", labels * np.uint8(255))
        result = self.score(data, masks, "0=clear,255=cloud")
        assert result.confusion == ((2, 0), (0, 1))

    def test_masks_that_do_not_say_what_they_are(self, folder: Folder, masks: Path) -> None:
        labels = np.zeros((1, 3), np.uint8)
        data = folder({"a": (image_of(labels), labels)})
        write(masks / "a.tif", labels)
        with pytest.raises(OptionError, match=r"does not say what its codes.*--map scl"):
            self.score(data, masks, None)

    def test_another_grid_is_refused_with_the_way_out(self, folder: Folder, masks: Path) -> None:
        labels = np.zeros((4, 4), np.uint8)
        data = folder({"a": (image_of(labels), labels)})
        coarse = rasterio.Affine(20, 0, 500_000, 0, -20, 5_000_000)
        way_out = r"gdalwarp -r near -t_srs EPSG:32633 -te 500000 4999960 500040 5000000 -ts 4 4"
        write(masks / "a.tif", np.zeros((2, 2), np.uint8), transform=coarse)
        with pytest.raises(MaskError, match=way_out):
            self.score(data, masks)
        write(masks / "a.tif", labels, transform=coarse)
        with pytest.raises(MaskError, match="lie elsewhere"):
            self.score(data, masks)
        rounded = rasterio.Affine(10, 0, 500_000.001, 0, -10, 5_000_000)
        write(masks / "a.tif", labels, transform=rounded)
        assert self.score(data, masks).overall.pixels == 16, "rounded, not moved"

    def test_every_chip_needs_one_mask(self, folder: Folder, masks: Path) -> None:
        data = folder(two_chips())
        write(masks / "a.tif", np.zeros((1, 11), np.uint8))
        with pytest.raises(MaskError, match=r"holds neither of b\.tif and b_mask\.tif; .* 2 chips"):
            self.score(data, masks)
        write(masks / "a_mask.tif", np.zeros((1, 11), np.uint8))
        with pytest.raises(MaskError, match=r"both of them of a\.tif and a_mask\.tif"):
            self.score(data, masks)

    def test_labels_are_no_masks(self, folder: Folder) -> None:
        data = folder(two_chips())
        with pytest.raises(MaskError, match="folder of the labels themselves"):
            self.score(data, data)

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("0=clear;1=cloud", "unknown class"),
            ("clear", "is not as in 0=clear"),
            ("x=clear", "'x' .* is no code"),
            ("300=clear", "'300' .* is no code"),
            ("0=clear,0=cloud", "says twice what 0 means"),
            ("0=nodata", "no class at all"),
            ("0=fog", "unknown class 'fog'"),
        ],
    )
    def test_mappings_that_mean_nothing(self, text: str, message: str) -> None:
        with pytest.raises(OptionError, match=message):
            classes_of_codes(parse_codes(text))

    def test_labels_that_chips_do_not_have(self) -> None:
        assert parse_labels("shadow=clear, snow=clear") == {"shadow": "clear", "snow": "clear"}
        with pytest.raises(OptionError, match="no label fog"):
            parse_labels("fog=clear")


def test_exactly_one_subject_is_scored(folder: Folder, tmp_path: Path) -> None:
    data = folder(two_chips())
    with pytest.raises(OptionError, match="exactly one"):
        evaluate(data=[data])
    with pytest.raises(OptionError, match="exactly one"):
        evaluate(model=identity_model(), masks=tmp_path, data=[data])
    with pytest.raises(OptionError, match="goes with masks"):
        evaluate(model=identity_model(), mapping="scl", data=[data])


def test_a_chip_without_the_models_bands_is_refused_before_any_work(folder: Folder) -> None:
    model = identity_model(bands=("red", "green", "swir16"))
    with pytest.raises(BandError, match=r"a\.tif: model 'identity' needs the bands .*swir16"):
        plan_evaluation(model=model, data=[folder(two_chips())], split="all")


def test_what_is_flagged_on_cloud_free_chips(folder: Folder) -> None:
    free = image_of(np.array([[0, 0, 0, 0, 0, 1, 2, 255]], np.uint8))
    nothing = np.zeros((1, 8), np.uint8)
    clear = folder({"f": (free, nothing), "g": (free, nothing)}, "free", cloud_free=["yes", "no"])
    result = evaluate(
        model=identity_model(), data=[folder(two_chips())], split="all", clear=[clear]
    )
    assert result.cloud_free is not None
    assert (result.cloud_free.chips, result.cloud_free.pixels) == (1, 7)
    assert result.cloud_free.flagged.value == pytest.approx(2 / 7)
    assert result.cloud_free.shares["shadow"] == pytest.approx(1 / 7)
    assert result.cloud_free.by_chip == {"f": pytest.approx(2 / 7)}
    assert result.cloud_free.alarms == 1
    assert result.chips == 2, "they are no labelled chips"


@pytest.mark.parametrize("labels", [{"snow": "cloud"}, {"shadow": "clear", "snow": "clear"}])
def test_cloud_is_flagged_whatever_snow_counts_as(folder: Folder, labels: Any) -> None:
    free = image_of(np.array([[0, 0, 0, 0, 0, 1, 2, 255]], np.uint8))
    clear = folder({"f": (free, np.zeros((1, 8), np.uint8))}, "free", cloud_free="yes")
    data = folder(two_chips())
    result = evaluate(
        model=identity_model(), data=[data], split="all", clear=[clear], labels=labels
    )
    assert result.cloud_free is not None
    assert result.cloud_free.flagged.value == pytest.approx(2 / 7)


def test_progress_ends_at_all_pixels(folder: Folder) -> None:
    told: list[Progress] = []
    evaluate(model=identity_model(), data=[folder(two_chips())], split="all", progress=told.append)
    assert told[-1] == Progress(14, 14)


class TestFiles:
    """What is written."""

    @pytest.fixture
    def found(self, folder: Folder) -> Any:
        return evaluate(model=identity_model(), data=[folder(two_chips())], split="all")

    def test_metrics_and_chips_are_written(self, found: Any, tmp_path: Path) -> None:
        metrics, table = write_evaluation(found, tmp_path / "deep" / "reports")
        content = json.loads(metrics.read_text())
        assert content == json.loads(json.dumps(found.to_json()))
        assert content["overall"]["accuracy"]["value"] == 0.75
        assert content["classes"][1]["curve"]["average_precision"] > 0
        with table.open(newline="") as file:
            rows = list(csv.DictReader(file))
        assert [row["id"] for row in rows] == ["a", "b"]
        assert rows[0]["bands"] == "red green nir"
        assert float(rows[0]["accuracy"]) == pytest.approx(7 / 9, abs=1e-5)
        assert rows[1]["iou_shadow"] == "", "no shadow there"

    def test_nothing_is_replaced_unless_told(self, found: Any, tmp_path: Path) -> None:
        write_evaluation(found, tmp_path)
        with pytest.raises(OutputError, match=r"metrics\.json: exists.*--overwrite"):
            write_evaluation(found, tmp_path)
        write_evaluation(found, tmp_path, overwrite=True)

    def test_all_or_nothing(self, found: Any, tmp_path: Path, monkeypatch: Any) -> None:
        def fail(*given: Any) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr("geomask.evaluation.files._write_table", fail)
        place = tmp_path / "reports"
        with pytest.raises(OutputError, match=r"reports: .*No space left"):
            write_evaluation(found, place)
        assert not place.exists()

    def test_a_page_comes_into_place_with_the_rest(self, found: Any, tmp_path: Path) -> None:
        def draw(path: Path) -> None:
            path.write_text("<p>seen</p>")
            assert not (tmp_path / "report.html").exists()

        paths = write_evaluation(found, tmp_path, draw=draw)
        assert [path.name for path in paths] == ["metrics.json", "per_chip.csv", "report.html"]
        assert paths[2].read_text() == "<p>seen</p>"

    def test_a_file_is_no_folder(self, found: Any, tmp_path: Path) -> None:
        (tmp_path / "reports").write_text("mine")
        with pytest.raises(OutputError, match="name a folder"):
            write_evaluation(found, tmp_path / "reports")


class TestTriplets:
    """Pictures of single chips."""

    def test_they_show_image_labels_and_classes(self, folder: Folder) -> None:
        trial = plan_evaluation(model=identity_model(), data=[folder(two_chips())], split="all")
        shown = trial.triplet("a")
        assert shown.rgb.shape == (1, 11, 3)
        assert shown.truth.tolist() == [[0, 0, 0, 0, 1, 1, 1, 1, 2, 255, 255]]
        assert shown.predicted.tolist() == [[0, 0, 0, 1, 1, 1, 1, 0, 2, 0, 0]]
        brightest = shown.rgb[0].argmax(axis=1)
        assert brightest[[0, 4, 8]].tolist() == [1, 2, 0], "nir, red, green as red, green, blue"
        assert trial.triplet("b").rgb[0, 2].tolist() == [0, 0, 0], "not measured"
        assert trial.triplet("b").predicted[0, 2] == 255

    def test_large_chips_are_made_small(self, folder: Folder) -> None:
        """2100 rows of four windows: every 4.2th pixel, whatever window it comes in."""
        codes = np.repeat(np.arange(30) % 3, 70).astype(np.uint8)[:, None].repeat(64, axis=1)
        data = folder({"tall": (image_of(codes), codes)})
        trial = plan_evaluation(model=identity_model(), data=[data], split="all")
        shown = trial.triplet("tall", side=500)
        assert shown.truth.shape == shown.predicted.shape == shown.rgb.shape[:2] == (500, 15)
        rows = ((np.arange(500) + 0.5) * 4.2).astype(int)
        np.testing.assert_array_equal(shown.predicted[:, 0], codes[rows, 0])

    def test_an_unknown_chip(self, folder: Folder) -> None:
        trial = plan_evaluation(model=identity_model(), data=[folder(two_chips())], split="all")
        with pytest.raises(OptionError, match="'z'"):
            trial.triplet("z")


class TestStreaming:
    """A pair of any height takes the memory of a strip."""

    ROWS = 1024

    def tall(self, folder: Folder, height: int) -> Path:
        codes = np.zeros((height, 64), np.uint8)
        codes[::7] = 1
        return folder({"tall": (image_of(codes), codes)}, f"tall{height}")

    def test_labels_are_read_once_each_a_strip_at_a_time(
        self, folder: Folder, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        windows = []
        read = tally.read_labels

        def watched(chip: Any, window: Any) -> Any:
            windows.append((window.row_off, window.height, window.col_off, window.width))
            return read(chip, window)

        monkeypatch.setattr(tally, "read_labels", watched)
        evaluate(model=identity_model(), data=[self.tall(folder, 3500)], split="all")
        assert max(height for _, height, _, _ in windows) <= self.ROWS
        assert [top for top, *_ in windows[1:]] == [
            top + height for top, height, *_ in windows[:-1]
        ]
        assert sum(height for _, height, _, _ in windows) == 3500
        assert {(left, width) for *_, left, width in windows} == {(0, 64)}

    @pytest.mark.parametrize("kind", ["model", "masks"])
    def test_peak_memory_does_not_grow_with_height(
        self, folder: Folder, tmp_path: Path, kind: str
    ) -> None:
        peaks: dict[int, list[int]] = {6144: [], 24576: []}
        # The first also loads libraries; the readers of the others are ahead by more or less.
        for height in (*[6144] * 3, *[24576] * 5):
            if not (data := tmp_path / f"tall{height}").exists():
                self.tall(folder, height)
            options: dict[str, Any] = {"model": identity_model()}
            if kind == "masks":
                masks = tmp_path / "masks"
                masks.mkdir(exist_ok=True)
                (masks / "tall.tif").write_bytes((data / "tall_mask.tif").read_bytes())
                options = {"masks": masks, "mapping": "0=clear,1=cloud"}
            tracemalloc.start()
            evaluate(data=[data], split="all", **options)
            peaks[height].append(tracemalloc.get_traced_memory()[1])
            tracemalloc.stop()
        low, high = peaks.values()
        assert min(high) < 1.2 * min(low[1:])
