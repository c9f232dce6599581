"""A report's pictures: the transition matrix, and examples before and after."""

import functools
import os
from collections.abc import Callable, Sequence
from typing import Any, BinaryIO

import numpy as np

from rethinking.corruptions.checks import id_order

_PER_CLASS = 10


def _plain(draw: Callable[..., None]) -> Callable[..., None]:
  """Draws without what the user's matplotlibrc says."""

  @functools.wraps(draw)
  def drawn(*args: Any, **options: Any) -> None:
    # Imported here: matplotlib costs a second that the ops need not wait for.
    from matplotlib import style

    with style.context("default"):
      draw(*args, **options)

  return drawn


@_plain
def draw_transitions(
  path: str | os.PathLike | BinaryIO,
  counts: np.ndarray,
  class_names: Sequence[str],
  title: str,
  form: str = "png",
) -> None:
  """Draws T[true, given], realised, as a heat map with its shares in per cent.

  Args:
    path: of the file to write, or an open one.
    counts: integers [K, K], [true, given].
    class_names: K strings.
    title: one line.
    form: "png" or "svg".
  """
  counts = np.asarray(counts)
  rows = counts.sum(axis=1, keepdims=True)
  shares = 100 * counts / np.maximum(rows, 1)
  classes = len(counts)
  from matplotlib.figure import Figure

  figure = Figure(figsize=(7.2, 6.2), dpi=120, layout="constrained")
  axes = figure.add_subplot()
  shown = axes.imshow(shares, cmap="cividis", vmin=0, vmax=100)
  if classes <= 20:
    axes.set_xticks(range(classes), class_names, rotation=45, ha="right")
    axes.set_yticks(range(classes), class_names)
    centred = {"ha": "center", "va": "center", "fontsize": 8}
    for true, given in np.argwhere(counts > 0):
      share = shares[true, given]
      text = "<1" if share < 0.5 else f"{share:.0f}"
      colour = "black" if share > 60 else "white"
      axes.text(given, true, text, color=colour, **centred)
  axes.set_xlabel("given label")
  axes.set_ylabel("true label")
  axes.set_title(title, fontsize=11, wrap=True)
  figure.colorbar(shown, ax=axes, label="% of the true class", shrink=0.85)
  _write(figure, path, form)


@_plain
def draw_examples(
  path: str | os.PathLike | BinaryIO,
  *,
  before: np.ndarray,
  after: np.ndarray,
  true_labels: np.ndarray,
  labels: np.ndarray,
  ids: np.ndarray,
  class_names: Sequence[str],
  title: str,
  form: str = "png",
) -> None:
  """Draws 10 examples of each class before and after, one row a class.

  The ten of lowest id, of at most the first 20 classes: each image above as it
  was, below as it is, and under it the given label, in bold where it's wrong.

  Args:
    path: of the file to write, or an open one.
    before: uint8 [N, H, W, C], C 1 or 3, or with opacity 2 or 4.
    after: uint8 [N, H, W, C].
    true_labels: int32 [N].
    labels: int32 [N], given.
    ids: uint32 [N] or [N, 2].
    class_names: K strings.
    title: one line.
    form: "png" or "svg".
  """
  from matplotlib.figure import Figure

  classes = min(len(class_names), 20)
  order = id_order(ids)
  # One canvas for all images: hundreds of axes would take seconds to draw.
  side = max(before.shape[1:3])
  size = side * max(1, round(64 / side))
  row_height, column_width = 2 * size + size // 2, size + size // 8
  below = size + size // 16
  canvas = np.full(
    (classes * row_height, _PER_CLASS * column_width, 3), 255, np.uint8
  )
  margin, head = 100, 40
  width, height = canvas.shape[1] + margin, canvas.shape[0] + head
  figure = Figure(figsize=(width / 80, height / 80), dpi=80)
  axes = figure.add_axes(
    (margin / width, 0, canvas.shape[1] / width, canvas.shape[0] / height)
  )
  axes.set_axis_off()
  for label in range(classes):
    top = label * row_height
    rows = order[true_labels[order] == label][:_PER_CLASS]
    for column, row in enumerate(rows):
      left = column * column_width
      for first, image in ((top, before[row]), (top + below, after[row])):
        shown = _enlarge(image, size // side)
        high, wide, _ = shown.shape
        canvas[first : first + high, left : left + wide] = shown
      name, wrong = class_names[labels[row]], labels[row] != label
      axes.text(
        left + size / 2,
        top + below + size + 2,
        name,
        ha="center",
        va="top",
        # Neighbours' names must not touch.
        fontsize=min(9, 70 / len(name)),
        fontweight="bold" if wrong else "normal",
        # Vermilion of the colour-blind safe palette of Okabe and Ito.
        color="#d55e00" if wrong else "black",
      )
    for middle, when in ((size / 2, "before"), (1.5 * size, "after")):
      name = f"{class_names[label]}\n{when}"
      axes.text(-8, top + middle, name, ha="right", va="center", fontsize=9)
  axes.imshow(canvas, interpolation="nearest", aspect="auto")
  figure.suptitle(title, fontsize=11, y=1 - 8 / height, va="top")
  _write(figure, path, form)


def _write(figure: Any, path: str | os.PathLike | BinaryIO, form: str) -> None:
  import matplotlib

  # The same numbers give the same file.
  metadata = {"png": {"Software": None}, "svg": {"Date": None}}[form]
  with matplotlib.rc_context({"svg.hashsalt": "rethinking"}):
    figure.savefig(path, format=form, metadata=metadata)


def _enlarge(image: np.ndarray, factor: int) -> np.ndarray:
  # Three channels, whether the image is grey or coloured; without opacity.
  image = image[..., : 3 if image.shape[-1] > 2 else 1]
  larger = image.repeat(factor, axis=0).repeat(factor, axis=1)
  return np.broadcast_to(larger, (*larger.shape[:2], 3))
