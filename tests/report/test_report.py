"""The report as a document: sound, true to its record, and harmless whatever names say."""

from __future__ import annotations

import re
from base64 import b64decode
from collections.abc import Callable
from dataclasses import replace
from io import BytesIO
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from geomask.classes import NODATA
from geomask.errors import OutputError
from geomask.evaluation import write_evaluation
from geomask.evaluation.curves import PercentHistogram
from geomask.evaluation.results import ChipRow, CloudFree, Estimate, Evaluation, GroupRow, ThinCloud
from geomask.evaluation.triplet import Triplet
from geomask.pages.markup import NOTHING, Html, count, element, text
from geomask.report import report_html, write_report
from geomask.report.charts import bins_of
from geomask.report.pictures import EACH, chosen_chips
from geomask.report.scores import score
from geomask.report.tables import MOST_ROWS
from tests.pages import Node, parse
from tests.report.conftest import Scored

SCORES = ("iou", "f1", "precision", "recall", "boundary_f1")
MEGABYTE = 2**20


def noise(chip_id: str) -> Triplet:
    """Pictures that do not compress."""
    rng = np.random.default_rng(0)
    rgb = rng.integers(256, size=(512, 512, 3)).astype(np.uint8)
    truth, predicted = rng.choice([0, 1, 2, NODATA], size=(2, 512, 512)).astype(np.uint8)
    return Triplet(rgb, truth, predicted)


def table(page: Node, name: str) -> list[list[Node]]:
    """Rows of cells, without the head."""
    (found,) = [
        node
        for node in page.all("table")
        if node.one("caption").attributes["id"] == f"{name}-caption"
    ]
    return [
        [cell for cell in row.children if isinstance(cell, Node)]
        for row in found.all("tr")
        if row.parent is not None and row.parent.tag != "thead"
    ]


def known(*values: float | None) -> list[float]:
    """As JSON has them."""
    return [round(value, 6) for value in values if value is not None]


@pytest.fixture(params=["scored", "scored_masks"])
def any_scored(request: pytest.FixtureRequest) -> Scored:
    """A model's and masks'."""
    found: Scored = request.getfixturevalue(request.param)
    return found


class TestDocument:
    """Structure."""

    def test_it_is_sound(self, any_scored: Scored) -> None:
        page = parse(any_scored.page)
        ids = [node.attributes["id"] for node in page if "id" in node.attributes]
        assert len(set(ids)) == len(ids)
        for node in page:
            assert node.attributes.get("aria-labelledby", ids[0]) in ids
            if node.tag == "a":
                assert node.attributes["href"].removeprefix("#") in ids
        assert page.one("html").attributes["lang"] == "en"
        assert "width=device-width" in page.one("meta", name="viewport").attributes["content"]
        assert [len(page.all(tag)) for tag in ("h1", "main", "header", "footer")] == [1] * 4

    def test_headings_go_down_a_level_at_a_time(self, any_scored: Scored) -> None:
        levels = [int(n.tag[1]) for n in parse(any_scored.page) if re.fullmatch("h[1-6]", n.tag)]
        assert levels[0] == 1
        assert all(lower - upper <= 1 for upper, lower in pairwise(levels))

    def test_tables_can_be_read_aloud_and_scrolled_by_keyboard(self, any_scored: Scored) -> None:
        page = parse(any_scored.page)
        assert len(page.all("table")) >= 5
        for found in page.all("table"):
            assert found.one("caption").text
            box = found.parent
            assert box is not None
            assert box.attributes["tabindex"] == "0"
            head, *rows = found.all("tr")
            assert {cell.attributes["scope"] for cell in head.all("th")} == {"col"}
            widths = {
                len([c for c in row.children if isinstance(c, Node)]) for row in found.all("tr")
            }
            assert len(widths) == 1
            assert all(row.one("th").attributes["scope"] == "row" for row in rows)

    def test_pictures_and_drawings_are_described(self, any_scored: Scored) -> None:
        page = parse(any_scored.page)
        assert all(len(node.attributes["alt"]) > 10 for node in page.all("img"))
        assert all(len(node.attributes["aria-label"]) > 10 for node in page.all("svg"))

    def test_it_loads_nothing(self, any_scored: Scored) -> None:
        text = any_scored.page
        for node in parse(text):
            for name in ("src", "href", "srcset", "data", "action"):
                assert node.attributes.get(name, "#").startswith(("#", "data:"))
            assert not [name for name in node.attributes if name.startswith("on")]
            assert node.tag not in ("script", "iframe", "object", "base")
        assert "url(" not in text
        assert "@import" not in text
        assert "://" not in text

    def test_a_policy_forbids_what_it_does_not_need(self, scored: Scored) -> None:
        (policy,) = [n for n in parse(scored.page).all("meta") if "http-equiv" in n.attributes]
        assert policy.attributes["content"].startswith("default-src 'none'; img-src data:")

    def test_the_same_record_makes_the_same_page(self, scored: Scored) -> None:
        assert report_html(scored.evaluation, scored.triplet) == scored.page


class TestNumbers:
    """What stands in the page is what stands in the record."""

    def test_classes(self, any_scored: Scored) -> None:
        evaluation = any_scored.evaluation
        rows = table(parse(any_scored.page), "classes")
        assert [row[0].text for row in rows] == [*(c.name for c in evaluation.classes), "Macro"]
        for item, row in zip(evaluation.classes, rows, strict=False):
            for name, cell in zip(SCORES, row[1:], strict=False):
                found: Estimate = getattr(item, name)
                assert cell.values == known(found.value, found.low, found.high)
            assert [cell.values for cell in row[6:9]] == [
                [item.pixels],
                [item.predicted],
                [item.unpredicted],
            ]
            if item.curve is not None:
                average, error = item.curve.average_precision, item.curve.calibration_error
                assert [cell.values for cell in row[9:]] == [known(average), known(error)]
        for name, cell in zip(SCORES, rows[-1][1:], strict=False):
            found = getattr(evaluation.overall, f"macro_{name}")
            assert cell.values == known(found.value, found.low, found.high)

    def test_headline(self, scored: Scored) -> None:
        overall = scored.evaluation.overall
        tile, *_ = parse(scored.page).all("div", class_="tile main")
        low, high = overall.macro_iou.low, overall.macro_iou.high
        assert low is not None
        assert tile.values == known(overall.macro_iou.value, low, high)
        assert f"{overall.macro_iou.value:.3f}" in tile.text
        assert f"{low:.3f}\xa0to\xa0{high:.3f}" in tile.text

    def test_confusion(self, any_scored: Scored) -> None:
        evaluation = any_scored.evaluation
        rows = table(parse(any_scored.page), "matrix")
        for item, counts, row in zip(evaluation.classes, evaluation.confusion, rows, strict=True):
            numbers = [cell.values[0] for cell in row[1:]]
            assert numbers == [*counts, item.unpredicted, item.pixels]
            if item.pixels:
                shares = [float(cell.one("small").text.split()[0]) for cell in row[1:-1]]
                exact = [100 * number / item.pixels for number in (*counts, item.unpredicted)]
                assert shares == pytest.approx(exact, abs=0.0501)
                assert sum(exact) == pytest.approx(100)

    def test_chips_are_sorted_worst_first(self, scored: Scored) -> None:
        rows = table(parse(scored.page), "chips")
        expected = sorted(scored.evaluation.chip_rows, key=lambda row: row.scores.macro_iou or 0)
        assert [row[0].text for row in rows] == [row.id for row in expected]
        for row, found in zip(expected, rows, strict=True):
            assert found[1].values == known(row.scores.macro_iou)
            assert [cell.values for cell in found[2:5]] == [
                known(iou) for iou in row.scores.iou.values()
            ]
            assert found[8].values == [row.scores.ignored]
            assert found[10].text == row.group

    def test_every_column_has_a_table_of_its_groups(self, scored: Scored) -> None:
        evaluation = scored.evaluation
        assert evaluation.by == ("split_group", "sensor")
        page = parse(scored.page)
        for number, column in enumerate(["sensor", "split_group"]):
            groups = {row.value: row for row in evaluation.group_rows if row.column == column}
            found = {row[0].text: row for row in table(page, f"group-{number}")}
            assert found.keys() == groups.keys()
            for value, row in found.items():
                assert row[1].values == [groups[value].chips]
                assert row[2].values == known(groups[value].scores.macro_iou)

    def test_thin_cloud_and_what_is_left_out(self, scored: Scored) -> None:
        evaluation = scored.evaluation
        thin = evaluation.thin_cloud
        assert thin is not None
        page = parse(scored.page)
        (tile,) = [n for n in page.all("div", class_="tile") if "Thin cloud" in n.text]
        recall = thin.recall
        assert tile.values == [*known(recall.value, recall.low, recall.high), thin.pixels]
        labels = {row[0].text: row for row in table(page, "labels")}
        assert labels["thin cloud"][1].text == "cloud"
        assert labels["snow"][1].text == "not scored"
        assert labels["any other"][2].values == [evaluation.ignored["unknown"]] == [12 * 32]
        assert labels["All"][2].values == [12 * 32]
        assert evaluation.overall.unpredicted == 12 * 5
        assert "60 pixels were called nothing" in page.text

    def test_what_was_scored(self, any_scored: Scored) -> None:
        evaluation = any_scored.evaluation
        said = parse(any_scored.page).text
        for value in (evaluation.data_sha256, *evaluation.data, evaluation.version):
            assert value in said
        assert parse(any_scored.page).one("h1").text == evaluation.subject["name"]
        if evaluation.subject["kind"] == "masks":
            assert "0=clear, 1=cloud, 2=shadow" in said

    def test_what_flatters_or_limits_the_scores_is_said(self, scored_masks: Scored) -> None:
        assert "only 2 groups" in parse(scored_masks.page).text
        changed = replace(scored_masks.evaluation, seen_groups=("place 1",))
        said = parse(report_html(changed, scored_masks.triplet)).text
        assert "trained on 1 of the groups scored" in said
        assert "place 1" in said

    def test_chips_without_cloud(self, scored: Scored) -> None:
        shares = {"clear": 0.9877, "cloud": 0.0123}
        chips = {"a": 0.06, "b": 0.04, "c": 0.0}
        free = CloudFree(3, 1000, Estimate(0.0123), shares, chips)
        page = parse(report_html(replace(scored.evaluation, cloud_free=free), scored.triplet))
        (tile,) = [n for n in page.all("div", class_="tile") if "Flagged" in n.text]
        assert tile.values == [0.0123, 1000, 3]
        assert "no interval" in tile.text
        assert "98.8\xa0% clear, 1.2\xa0% cloud" in page.text
        assert "more than 5\xa0% is flagged on 1 of 3" in page.text


class TestCurves:
    """Diagrams of what a model's percents are worth."""

    def test_each_class_has_two_and_their_numbers(self, scored: Scored) -> None:
        page = parse(scored.page)
        curves = [item.curve for item in scored.evaluation.classes if item.curve is not None]
        assert len(page.all("svg")) == 2 * len(curves) == 6
        for number, curve in enumerate(curves):
            rows = table(page, f"curve-{number}")
            assert sum(row[1].values[0] for row in rows) == sum(curve.pixels)
            assert f"average precision {curve.average_precision:.3f}" in page.text

    def test_masks_have_none(self, scored_masks: Scored) -> None:
        page = parse(scored_masks.page)
        assert not page.all("svg")
        assert not [node for node in page if node.attributes.get("id") == "curves"]
        assert "Average precision" not in page.text

    def test_ten_percents_are_one_dot(self) -> None:
        """2 pixels at 10 % of which 1 is it, 6 at 19 %, none of them; 1 at 100 %, it is."""
        histogram = PercentHistogram(2)
        values = np.array([[10, 10, *[19] * 6, 100]], np.uint8)
        labels = np.array([[1, 0, *[0] * 6, 1]], np.uint8)
        histogram.add(np.stack([100 - values, values]), labels)
        curve = histogram.curve(1)
        assert curve is not None
        low, high = bins_of(curve)
        assert (low.first, low.last, low.pixels) == (10, 19, 8)
        assert low.given == pytest.approx((2 * 10 + 6 * 19) / 8 / 100)
        assert low.share == pytest.approx(1 / 8)
        assert (high.first, high.last, high.pixels, high.given, high.share) == (90, 100, 1, 1, 1)

    def test_lines_stay_in_their_square(self, scored: Scored) -> None:
        for line in parse(scored.page).all("polyline"):
            points = np.array([p.split(",") for p in line.attributes["points"].split()], float)
            assert points.min() >= 10
            assert points.max() <= 272
            assert points[:, 1].max() <= 210


class TestPictures:
    """Best, median and worst chips."""

    def test_their_colours_are_the_classes(self, scored: Scored) -> None:
        page = parse(scored.page)
        colors = {item.code: (*item.color, 255) for item in scored.evaluation.classes}
        colors[NODATA] = (0, 0, 0, 0)
        figures = [node for node in page.all("figure") if node.attributes.get("class") == "chip"]
        assert len(figures) == 3 * EACH
        for figure in figures:
            shown = scored.triplet(figure.one("strong").text)
            image, truth, predicted = map(decode, figure.all("img"))
            np.testing.assert_array_equal(image, shown.rgb)
            for picture, codes in ((truth, shown.truth), (predicted, shown.predicted)):
                expected = np.array([colors[code] for code in codes.ravel()], np.uint8)
                np.testing.assert_array_equal(picture, expected.reshape(*codes.shape, 4))

    def test_words_say_what_they_show(self, scored: Scored) -> None:
        *_, worst = parse(scored.page).all("figure", class_="chip")
        truth = scored.triplet(worst.one("strong").text).truth
        said = worst.all("img")[1].attributes["alt"]
        assert f"clear {100 * (truth == 0).mean():.1f}\xa0%" in said
        assert "none 4.2\xa0%" in said, "one row of 24 has no label"

    def test_large_ones_are_made_small_without_new_colours(self, scored: Scored) -> None:
        single = replace(scored.evaluation, chip_rows=scored.evaluation.chip_rows[:1])
        image, truth, _ = map(decode, parse(report_html(single, noise)).all("img"))
        assert image.shape == (320, 320, 3)
        colors = {(*item.color, 255) for item in scored.evaluation.classes} | {(0, 0, 0, 0)}
        assert {tuple(color) for color in truth.reshape(-1, 4).tolist()} == colors

    @pytest.mark.parametrize(
        ("scores", "chosen"),
        [
            ([0.5], {"The only one": [0.5]}),
            ([0.2, 0.7], {"Best": [0.7], "Worst": [0.2]}),
            ([0.3, 0.1, 0.2], {"Best": [0.3], "Median": [0.2], "Worst": [0.1]}),
            ([0.1, 0.2, 0.3, 0.4, None], {"Best": [0.4], "Median": [0.2], "Worst": [0.1]}),
            (
                [i / 100 for i in range(99)],
                {"Best": [0.98, 0.97, 0.96], "Median": [0.48, 0.49, 0.5], "Worst": [0, 0.01, 0.02]},
            ),
        ],
    )
    def test_which_chips(
        self, scored: Scored, scores: list[float | None], chosen: dict[str, list[float]]
    ) -> None:
        rows = [chip(scored, f"chip {i}", macro_iou=value) for i, value in enumerate(scores)]
        found = chosen_chips(rows)
        assert {k: [row.scores.macro_iou for row in v] for k, v in found.items()} == chosen

    def test_no_chip_may_have_a_score(self, scored: Scored) -> None:
        rows = tuple(chip(scored, f"chip {i}", macro_iou=None) for i in range(3))
        page = parse(report_html(replace(scored.evaluation, chip_rows=rows), scored.triplet))
        assert not page.all("img")
        assert table(page, "chips")[0][1].text == NOTHING


class TestClassWithoutLabels:
    """A class that the subject knows and the labels do not."""

    def test_it_has_no_score_and_is_named(self, scored_masks: Scored) -> None:
        page = parse(scored_masks.page)
        shadow = scored_masks.evaluation.classes[2]
        assert (shadow.name, shadow.pixels, shadow.iou.value) == ("shadow", 0, None)
        assert "No label is shadow" in page.text
        row = table(page, "classes")[2]
        assert [cell.text for cell in row[1:6]] == [NOTHING] * 5
        assert row[7].values == [shadow.predicted]
        assert not table(page, "matrix")[2][1].all("small"), "no share of nothing"


class TestStrangeNames:
    """Strings of files are text."""

    EVIL = "</code><script>alert(\"x\")</script><img src=x onerror='y'>&amp;"

    def evil(self, scored: Scored) -> Evaluation:
        evil = self.EVIL
        found = scored.evaluation

        def renamed(row: Any) -> Any:
            scores = replace(row.scores, **{s: {evil: None} for s in ("iou", "f1", "recall")})
            if isinstance(row, GroupRow):
                return replace(row, column=evil, value=evil, scores=scores)
            return replace(row, id=evil + row.id, group=evil, fields={evil: evil}, scores=scores)

        item = replace(found.classes[1], name=evil)
        return replace(
            found,
            subject={"kind": evil, "name": evil, evil: evil, "codes": {evil: evil}},
            data=(evil,),
            data_sha256=evil,
            split=evil,
            seen_groups=(evil,),
            labels={evil: evil},
            classes=(item,),
            confusion=((1,),),
            ignored={evil: 1},
            thin_cloud=ThinCloud(evil, 5, Estimate(0.5)),
            cloud_free=CloudFree(1, 1, Estimate(0.5), {evil: 0.5}, {evil: 0.5}),
            by=(evil,),
            group_rows=tuple(map(renamed, found.group_rows)),
            chip_rows=tuple(map(renamed, found.chip_rows)),
            version=evil,
        )

    def test_markup_in_them_is_only_shown(self, scored: Scored) -> None:
        page = report_html(
            self.evil(scored), lambda chip_id: scored.triplet(chip_id.removeprefix(self.EVIL))
        )
        read = parse(page)
        assert not read.all("script")
        assert not [node for node in read if "onerror" in node.attributes]
        assert all(n.attributes["src"].startswith("data:image/png") for n in read.all("img"))
        assert read.one("h1").text == self.EVIL
        assert table(read, "chips")[0][0].text.startswith(self.EVIL)
        assert self.EVIL in read.all("img")[0].attributes["alt"]
        assert self.EVIL in read.all("svg")[0].attributes["aria-label"]
        assert read.text.count(self.EVIL) > 20

    def test_a_name_that_is_no_unicode_is_shown_as_far_as_it_is(
        self, scored: Scored, tmp_path: Path
    ) -> None:
        found = replace(scored.evaluation, data=("/data/caf\udce9",))
        write_report(found, tmp_path / "report.html", scored.triplet)
        assert "/data/caf?" in (tmp_path / "report.html").read_text("utf-8")

    def test_what_is_markup_and_what_is_not(self) -> None:
        assert element("p", "<b>", Html("<i></i>"), class_="a", title='"', lang=None) == (
            '<p class="a" title="&quot;">&lt;b&gt;<i></i></p>'
        )
        assert element("img", src=Html('"'), aria_label="x") == '<img src="&quot;" aria-label="x"/>'
        assert text(Html("<b>")) == "<b>"
        assert count(1234567) == '<data value="1234567">1\u202f234\u202f567</data>'
        assert score(0.12345678) == '<data value="0.123457">0.123</data>'


class TestSize:
    """However much was scored."""

    def test_it_is_a_few_megabytes_at_most(self, scored: Scored) -> None:
        row, group = scored.evaluation.chip_rows[0], scored.evaluation.group_rows[0]
        many = replace(
            scored.evaluation,
            chips=5000,
            chip_rows=tuple(replace(row, id=f"chip {i:05}") for i in range(5000)),
            group_rows=tuple(replace(group, value=f"place {i}") for i in range(500)),
        )
        asked: list[str] = []

        def told(chip_id: str) -> Triplet:
            asked.append(chip_id)
            return noise(chip_id)

        page = report_html(many, told)
        assert len(page.encode()) < 5 * MEGABYTE
        assert len(asked) == len(set(asked)) == 3 * EACH
        read = parse(page)
        assert len(table(read, "chips")) == len(table(read, "group-1")) == MOST_ROWS
        assert "50 of 5000 chips, worst macro IoU first; all are in per_chip.csv" in read.text
        assert "50 of 500" in read.text


class TestFile:
    """Written whole or not at all."""

    def test_it_is_written(self, scored: Scored, tmp_path: Path) -> None:
        path = tmp_path / "report.html"
        path.write_text("before")
        write_report(scored.evaluation, path, scored.triplet)
        assert path.read_text("utf-8") == scored.page
        assert list(tmp_path.iterdir()) == [path]

    def test_beside_the_other_files(self, scored: Scored, tmp_path: Path) -> None:
        def draw(path: Path) -> None:
            write_report(scored.evaluation, path, scored.triplet)

        paths = write_evaluation(scored.evaluation, tmp_path / "reports", draw=draw)
        assert paths[2].read_text("utf-8") == scored.page
        assert sorted((tmp_path / "reports").iterdir()) == sorted(paths)

    @pytest.mark.parametrize("error", [OSError(28, "No space left on device"), ValueError("chip")])
    def test_what_fails_leaves_what_was_there(
        self, scored: Scored, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
    ) -> None:
        def fail(*given: object) -> Any:
            raise error

        path = tmp_path / "report.html"
        path.write_text("before")
        triplet: Callable[[str], Triplet] = scored.triplet
        if isinstance(error, OSError):
            monkeypatch.setattr(Path, "write_text", fail)
            with pytest.raises(OutputError, match=r"report\.html: .*No space left"):
                write_report(scored.evaluation, path, triplet)
        else:
            with pytest.raises(ValueError, match="chip"):
                write_report(scored.evaluation, path, fail)
        assert path.read_bytes() == b"before"
        assert list(tmp_path.iterdir()) == [path]


def chip(scored: Scored, name: str, **scores: Any) -> ChipRow:
    """A row as another one, but for its scores."""
    row = scored.evaluation.chip_rows[0]
    return replace(row, id=name, scores=replace(row.scores, **scores))


def decode(image: Node) -> np.ndarray:
    """Pixels of an <img>."""
    header, content = image.attributes["src"].split(",", 1)
    assert header == "data:image/png;base64"
    return np.array(Image.open(BytesIO(b64decode(content))))
