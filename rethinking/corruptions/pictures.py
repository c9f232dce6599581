"""A report's pictures: the transition matrix, and examples before and after."""

from __future__ import annotations

import os
from collections.abc import Sequence

import numpy as np

_PER_CLASS = 10


def draw_transitions(
  path: str | os.PathLike,
  counts: np.ndarray,
  class_names: Sequence[str],
  title: str,
) -> None:
  """Draws T[true, given], realised, as a heat map with its shares in per cent.

  Args:
    path: of the PNG file to write.
    counts: integers [K, K], [true, given].
    class_names: K strings.
    title: one line.
  """
  # Imported here: matplotlib costs a second that the ops need not wait for.
  from matplotlib.backends.backend_agg import FigureCanvasAgg
  from matplotlib.figure import Figure

  counts = np.asarray(counts)
  rows = counts.sum(axis=1, keepdims=True)
  shares = np.divide(
    100 * counts, rows, out=np.zeros(counts.shape), where=rows > 0
  )
  classes = len(counts)
  figure = Figure(figsize=(7.2, 6.2), dpi=120, layout="constrained")
  FigureCanvasAgg(figure)
  axes = figure.add_subplot()
  shown = axes.imshow(shares, cmap="cividis", vmin=0, vmax=100)
  if classes <= 20:
    axes.set_xticks(range(classes), class_names, rotation=45, ha="right")
    axes.set_yticks(range(classes), class_names)
    for true, given in np.argwhere(counts > 0):
      share = shares[true, given]
      axes.text(
        given,
        true,
        "<1" if share < 0.5 else f"{share:.0f}",
        ha="center",
        va="center",
        fontsize=8,
        color="black" if share > 60 else "white",
      )
  axes.set_xlabel("given label")
  axes.set_ylabel("true label")
  axes.set_title(title, fontsize=11, wrap=True)
  figure.colorbar(shown, ax=axes, label="% of the true class", shrink=0.85)
  figure.savefig(path, metadata={"Software": None})


def draw_examples(
  path: str | os.PathLike,
  *,
  before: np.ndarray,
  after: np.ndarray,
  true_labels: np.ndarray,
  labels: np.ndarray,
  ids: np.ndarray,
  class_names: Sequence[str],
  title: str,
) -> None:
  """Draws 10 examples of each class before and after, one row a class.

  The ten of lowest id, of at most the first 20 classes: each image above as it
  was, below as it is, and under it the given label, in bold where it's wrong.

  Args:
    path: of the PNG file to write.
    before: uint8 [N, H, W, C], C 1 or 3.
    after: uint8 [N, H, W, C].
    true_labels: int32 [N].
    labels: int32 [N], given.
    ids: uint32 [N].
    class_names: K strings.
    title: one line.
  """
  from matplotlib.backends.backend_agg import FigureCanvasAgg
  from matplotlib.figure import Figure

  classes = min(len(class_names), 20)
  order = np.argsort(ids, kind="stable")
  figure = Figure(
    figsize=(1.4 + 0.95 * _PER_CLASS, 0.5 + 2.2 * classes), dpi=80
  )
  FigureCanvasAgg(figure)
  # Two rows of images a class, then room for the labels in words.
  grid = figure.subplots(
    3 * classes,
    _PER_CLASS,
    squeeze=False,
    gridspec_kw={"height_ratios": [1, 1, 0.3] * classes},
  )
  height = figure.get_figheight()
  figure.subplots_adjust(
    left=1.3 / figure.get_figwidth(),
    right=0.99,
    bottom=0.05 / height,
    top=1 - 0.4 / height,
    wspace=0.08,
    hspace=0.05,
  )
  for axes in grid.flat:
    axes.set_axis_off()
  for label in range(classes):
    pairs = grid[3 * label : 3 * label + 2]
    rows = order[true_labels[order] == label][:_PER_CLASS]
    for column, row in enumerate(rows):
      for axes, image in zip(
        pairs[:, column], (before[row], after[row]), strict=True
      ):
        axes.imshow(
          image if image.shape[-1] == 3 else image[..., 0],
          cmap="gray",
          vmin=0,
          vmax=255,
          interpolation="nearest",
        )
      wrong = labels[row] != label
      pairs[1, column].text(
        0.5,
        -0.04,
        class_names[labels[row]],
        transform=pairs[1, column].transAxes,
        ha="center",
        va="top",
        fontsize=9,
        fontweight="bold" if wrong else "normal",
        # Vermilion of the colour-blind safe palette of Okabe and Ito.
        color="#d55e00" if wrong else "black",
      )
    for axes, when in zip(pairs[:, 0], ("before", "after"), strict=True):
      axes.text(
        -0.12,
        0.5,
        f"{class_names[label]}\n{when}",
        transform=axes.transAxes,
        ha="right",
        va="center",
        fontsize=9,
      )
  figure.suptitle(title, fontsize=11, y=1 - 0.1 / height, va="top")
  figure.savefig(path, metadata={"Software": None})
