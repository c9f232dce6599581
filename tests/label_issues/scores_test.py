"""Label quality scores against their definitions, and cleanlab's."""

import numpy as np
import pytest

from rethinking import label_issues
from rethinking.runtime.errors import UserError

from . import made


@pytest.mark.parametrize("seed", range(3))
def test_scores_are_their_definitions(seed):
  labels, probs = made.predictions(seed)
  own = label_issues.self_confidence(labels, probs)
  margin = label_issues.normalized_margin(labels, probs)
  for i, (label, row) in enumerate(zip(labels, probs, strict=True)):
    others = max(p for k, p in enumerate(row) if k != label)
    assert own[i] == row[label]
    assert margin[i] == pytest.approx((row[label] - others + 1) / 2, abs=1e-12)


@pytest.mark.parametrize("method", ["self_confidence", "normalized_margin"])
def test_scores_equal_cleanlabs(method):
  rank = pytest.importorskip(
    "cleanlab.rank", reason="needs cleanlab, of the extra compare"
  )
  labels, probs = made.predictions(0)
  np.testing.assert_allclose(
    getattr(label_issues, method)(labels, probs),
    rank.get_label_quality_scores(labels, probs, method=method),
    atol=1e-6,
  )


@pytest.mark.parametrize(
  ("labels", "probs", "message"),
  [
    ([0, 1], [[0.5, 0.5], [2.0, 1.0]], "sum to 1 in each row, got the sum 3"),
    ([0, 1], [[0.5, 0.5], [1.5, -0.5]], "the least -0.5 in row 1"),
    ([0, 1], [[0.5, 0.5], [np.nan, 0.5]], "got the sum nan"),
    ([0, 2], [[0.5, 0.5]] * 2, "below the 2 columns of pred_probs, got 2"),
    ([0, 1], [[0.5, 0.5]] * 3, "a row for each of 2 labels, got 3"),
    ([0, 1], [0.5, 0.5], "must be floats"),
    ([0, 0], [[1.0]] * 2, "K at least 2"),
    ([1, 1], [[0.5, 0.5]] * 2, "two classes at least, got only 1"),
  ],
)
def test_what_are_no_predictions_is_a_line(labels, probs, message):
  with pytest.raises(UserError, match=message) as error:
    label_issues.find(np.array(labels), np.array(probs))
  assert "\n" not in str(error.value)
