"""Invariant 1: cores partition the scene; origins keep the stride; blocks are written once."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from geomask.errors import OptionError
from geomask.tiling import Patch, Plan, Span, plan_patches, reflect

sizes = st.one_of(
    st.integers(1, 3 * 512), st.sampled_from([1, 2, 15, 16, 17, 97, 511, 512, 513, 1031, 10980])
)
scales = st.sampled_from([1.0, 0.5, 0.58, 2.0, 1.003, 3.7])


@st.composite
def plans(draw: st.DrawFn) -> tuple[Plan, int, int, int, int, int]:
    stride = draw(st.sampled_from([1, 8, 16, 32]))
    margin = draw(st.integers(0, 70))
    patch = stride * draw(st.integers(1, 1200 // stride))
    height, width = draw(sizes), draw(sizes)
    scale = (draw(scales), draw(scales))
    try:
        plan = plan_patches(height, width, patch=patch, margin=margin, stride=stride, scale=scale)
    except OptionError:
        assume(False)
        raise
    return plan, height, width, patch, margin, stride


@given(plans())
def test_write_windows_partition_the_scene_in_whole_blocks(
    case: tuple[Plan, int, int, int, int, int],
) -> None:
    plan, height, width, *_ = case
    for spans, length in ((plan.rows, height), (plan.columns, width)):
        assert spans[0].write == 0
        for span, after in itertools.pairwise(spans):
            assert span.write + span.length == after.write
            assert after.write % plan.block == 0
        assert spans[-1].write + spans[-1].length == length
        assert all(span.length > 0 for span in spans)


def test_a_stride_of_one_leaves_room_for_rounding_too() -> None:
    """0.58 inference pixels per mask pixel: cores begin and end between inference pixels."""
    for patch in range(90, 140):
        plan = plan_patches(1000, 700, patch=patch, margin=3, stride=1, scale=(0.58, 0.58))
        assert max(span.size for span in (*plan.rows, *plan.columns)) <= patch


@given(plans())
def test_read_windows_keep_stride_margin_and_size(
    case: tuple[Plan, int, int, int, int, int],
) -> None:
    plan, _, _, patch, margin, stride = case
    for spans, scale in ((plan.rows, plan.scale[0]), (plan.columns, plan.scale[1])):
        for span in spans:
            assert span.read % stride == 0
            assert span.size % stride == 0
            assert span.size <= patch
            assert span.read + margin <= span.write * scale
            assert (span.write + span.length) * scale <= span.read + span.size - margin


@given(plans())
def test_patches_come_in_row_order_and_as_counted(
    case: tuple[Plan, int, int, int, int, int],
) -> None:
    plan, *_ = case
    corners = [(patch.write.row_off, patch.write.col_off) for patch in plan]
    assert corners == sorted(corners)
    assert len(corners) == len(plan)


def test_every_pixel_is_written_once() -> None:
    written = np.zeros((131, 1031), dtype=int)
    for patch in plan_patches(131, 1031, patch=256, margin=32, stride=32):
        written[patch.write.toslices()] += 1
    assert (written == 1).all()


@pytest.mark.skipif(
    np.lib.NumpyVersion(np.__version__) < "2.0.0", reason="NumPy before 2 reflects wrongly itself"
)
@given(st.integers(-40, 40), st.integers(1, 60), st.integers(1, 20))
def test_reflect_is_numpys_reflection(start: int, size: int, length: int) -> None:
    before, after = max(0, -start), max(0, start + size - length)
    padded = np.pad(np.arange(length), (before, after), mode="reflect")
    expected = padded[start + before : start + before + size]
    np.testing.assert_array_equal(reflect(start, size, length), expected)


@pytest.mark.parametrize("patch", [0, 100, 33, 16])
def test_a_patch_off_the_stride_is_refused_with_a_way_out(patch: int) -> None:
    with pytest.raises(OptionError, match=r"multiple of the network's stride 32; try \d+"):
        plan_patches(100, 100, patch=patch, margin=0, stride=32)


def test_a_margin_that_leaves_no_core_is_refused() -> None:
    with pytest.raises(OptionError, match="leaves no core"):
        plan_patches(100, 100, patch=128, margin=64, stride=32)


def test_a_core_outside_its_read_window_is_refused() -> None:
    inside = Span(read=0, size=32, write=0, length=32)
    with pytest.raises(ValueError, match="outside its read window"):
        Patch(inside, Span(read=0, size=32, write=16, length=32))
