"""Memorisation, example by example, from an ensemble trained on subsets.

Train many networks, each on a random subset, and compare, of each example,
those that saw it with those that did not: the difference in accuracy is how
much the example is memorised (Feldman and Zhang 2020). All here works on NumPy
arrays of masks and outcomes, from anyone's training:

  masks = design(ids, labels, 0.7, members=10, permutations=10, seed=0)
  # Train run k on examples[masks[k]]; keep what it says of all of them.
  found = scores(masks, correct, p, predicted, true_labels, labels)
  found.mem, found.mem_low, found.mem_high

`design` draws the subsets, balanced over examples and runs; `scores` has the
formulas, an example a row; `means` averages them over a group and resamples
permutations; `agreement` ranks them against those of half the runs and of
others; `influence` finds the test examples that lean on a training example;
`draws` has the random words and the checks that all share.

May import: config, data, models, ops, storage, runtime, corruptions.
"""

from rethinking.memorization.agreement import compare, halves
from rethinking.memorization.design import design, pack, unpack
from rethinking.memorization.influence import influence, pairs
from rethinking.memorization.means import interval, means, resampled
from rethinking.memorization.scores import forgetting, pred_probs, scores

__all__ = [
  "compare",
  "design",
  "forgetting",
  "halves",
  "influence",
  "interval",
  "means",
  "pack",
  "pairs",
  "pred_probs",
  "resampled",
  "scores",
  "unpack",
]
