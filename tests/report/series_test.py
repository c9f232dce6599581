"""Lines along the level, and times relative to true labels."""

import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rethinking.report import rows
from rethinking.report.series import relative_times, series, varying

from . import synthetic

_LEVELS = (0.0, 0.2, 0.4, 1.0)


def _lines(made):
  return series(rows.gather(made).groups)


def test_one_line_for_each_architecture_in_order_of_level():
  made = [
    synthetic.row(arch=arch, p=p)
    for arch in ("digits_cnn", "mlp_1x512")
    for p in reversed(_LEVELS)
  ]
  made.append(synthetic.row(pixel_noise="shuffled_pixels"))
  lines = _lines(made)
  assert [line.label for line in lines] == ["digits_cnn", "mlp_1x512"]
  for line in lines:
    assert tuple(group.p for group in line.points) == _LEVELS
    assert {group.condition for group in line.points} == {
      "true_labels",
      "partial_labels",
      "random_labels",
    }


def test_kinds_of_noise_share_the_true_labels():
  made = [synthetic.row()] + [
    synthetic.row(label_noise=noise, p=0.4)
    for noise in ("uniform", "symmetric")
  ]
  lines = _lines(made)
  assert [line.label for line in lines] == [
    "digits_cnn, uniform",
    "digits_cnn, symmetric",
  ]
  assert lines[0].clean() is lines[1].clean()


def test_what_differs_is_in_the_label():
  made = [
    synthetic.row(augment=a, p=p) for a in ("none", "crop") for p in _LEVELS
  ]
  assert [line.label for line in _lines(made)] == [
    "digits_cnn, augment none",
    "digits_cnn, augment crop",
  ]
  assert varying(rows.gather(made).groups, ("p",)) == (
    "label_noise",
    "augment",
  )


@given(
  st.lists(
    st.lists(st.none() | st.integers(1, 60), min_size=3, max_size=3),
    min_size=3,
    max_size=3,
  ),
  st.lists(st.integers(1, 30), min_size=3, max_size=3),
)
def test_times_are_relative_to_true_labels(fits, clean):
  by_level = dict(zip(_LEVELS, [clean, *fits], strict=True))
  made = [
    synthetic.row(seed=seed, p=p, fit=fit)
    for p, mine in by_level.items()
    for seed, fit in enumerate(mine)
  ]
  (line,) = _lines(made)
  found = relative_times(line)
  assert [group.p for group, _ in found] == list(_LEVELS)
  assert found[0][1].mean == pytest.approx(1)
  for group, time in found:
    mine = by_level[group.p]
    bounds = [60 if fit is None else fit for fit in mine]
    assert time.mean == pytest.approx(
      statistics.fmean(bounds) / statistics.fmean(clean)
    )
    assert time.censored == (None in mine)


@pytest.mark.parametrize(
  "made",
  [
    [synthetic.row(p=0.4)],
    [
      synthetic.row(seed=0),
      synthetic.row(seed=1, fit=None),
      synthetic.row(p=0.4),
    ],
  ],
)
def test_nothing_is_relative_without_fitted_true_labels(made):
  (line,) = _lines(made)
  assert relative_times(line) == []
