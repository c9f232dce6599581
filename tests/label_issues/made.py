"""Predictions of known quality."""

import numpy as np


def predictions(seed, n=400, classes=5, p=0.2, sharp=12.0):
  """Returns given labels, probabilities and whether labels are wrong.

  Of labels that noise changed to the next class with a chance of p.
  """
  labels, probs, _ = known(seed, n, classes, p, sharp)
  return labels, probs


def known(seed, n=400, classes=5, p=0.2, sharp=12.0):
  """Returns the same, and which labels are wrong."""
  draw = np.random.default_rng(seed)
  logits = sharp * draw.normal(size=(n, classes))
  clean = np.exp(logits)
  clean /= clean.sum(axis=1, keepdims=True)
  # Calibrated: a class is the true one as often as it is said to be.
  true = (clean.cumsum(axis=1) < draw.random((n, 1))).sum(axis=1)
  wrong = draw.random(n) < p
  given = np.where(wrong, (true + 1) % classes, true)
  # What trains on given labels predicts given labels.
  matrix = (1 - p) * np.eye(classes) + p * np.eye(classes)[
    (np.arange(classes) + 1) % classes
  ]
  return given, clean @ matrix, wrong
