"""Which labels look wrong, from what others' training says of each example.

All here works on NumPy arrays from anyone's training: `labels`, integers [N],
and `pred_probs`, [N, K], each row from networks that did not train on it.

  found = find(labels, pred_probs)
  np.flatnonzero(found.listed), found.p_wrong, found.rank

`scores` says how well a label fits the prediction, `joint` how classes are
confused and how probable it is that a label is wrong, `finding` puts them
together and says when not to believe it, `detection` holds a score against
known wrong labels, `duplicates` finds images that are there twice.

Reference: Northcutt, Jiang, Chuang (2021), "Confident learning: estimating
  uncertainty in dataset labels", Journal of AI Research 70.

May import: memorization, config, data, models, ops, storage, runtime,
corruptions.
"""

from rethinking.label_issues.detection import (
  auroc,
  auroc_draws,
  average_precision,
  precision_at_errors,
)
from rethinking.label_issues.duplicates import duplicates, telling
from rethinking.label_issues.finding import Issues, find
from rethinking.label_issues.joint import (
  confident_joint,
  p_right,
  transition,
  unfold,
)
from rethinking.label_issues.scores import (
  check_probs,
  normalized_margin,
  self_confidence,
)

__all__ = [
  "Issues",
  "auroc",
  "auroc_draws",
  "average_precision",
  "check_probs",
  "confident_joint",
  "duplicates",
  "find",
  "normalized_margin",
  "p_right",
  "precision_at_errors",
  "self_confidence",
  "telling",
  "transition",
  "unfold",
]
