"""Figures of the theory experiments, PNG and SVG."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from etils import epath

from rethinking.storage import plots

_Row = Mapping[str, Any]


def _save(figure: Any, title: str, folder: epath.Path, name: str) -> list[str]:
  figure.suptitle(title, fontsize=10)
  return plots.save(figure, folder / name)


def _lines(
  rows: Sequence[_Row], along: str, by: str
) -> Iterator[tuple[dict[str, Any], Any, dict[str, np.ndarray]]]:
  """A look, a value of a field, and its rows along another as columns."""
  for k, value in enumerate(sorted({row[by] for row in rows})):
    mine = [row for row in rows if row[by] == value]
    mine.sort(key=lambda row: row[along])
    names = [name for name, x in mine[0].items() if isinstance(x, int | float)]
    columns = {n: np.array([row[n] for row in mine]) for n in names}
    colour = plots.COLOURS[k % len(plots.COLOURS)]
    yield {"color": colour, "marker": "o"}, value, columns


def kernel(rows: Sequence[_Row], folder: epath.Path, title: str) -> list[str]:
  """Test error and norm, against ridge and against label noise.

  Draws ridge.png where several ridges were fitted and noise.png where several
  levels were, each with .svg beside it.

  Args:
    rows: one for each ridge and level, with their errors in percent and norm.
    folder: exists.
    title: of the figures.

  Returns:
    The names of the files.
  """
  written = []
  for name, along, by, label in (
    ("ridge", "ridge", "level", "ridge"),
    ("noise", "level", "ridge", "label-noise level p"),
  ):
    if len({row[along] for row in rows}) < 2:
      continue
    figure, ((left, right),) = plots.figure(1, 2, (9, 3.6))
    for look, value, mine in _lines(rows, along, by):
      style = look | {"markersize": 3.5}
      text = f"p = {value:g}" if by == "level" else f"ridge {value:g}"
      left.plot(mine[along], mine["test_error_percent"], **style)
      dotted = look | {"linestyle": ":", "markersize": 2}
      left.plot(mine[along], mine["train_error_percent"], **dotted)
      right.plot(mine[along], mine["norm"], label=text, **style)
    for axis in (left, right):
      axis.set_xlabel(label)
      if along == "ridge":
        positive = [row["ridge"] for row in rows if row["ridge"] > 0]
        axis.set_xscale("symlog", linthresh=min(positive))
        axis.set_xlim(left=-0.1 * min(positive))
    for name_of, line in (("test", "-"), ("train", ":")):
      left.plot([], [], line, color="0.3", label=name_of)
    left.legend(fontsize=8)
    left.set_ylabel("error (%)")
    left.set_ylim(bottom=-1)
    right.set_ylabel("norm of the solution, all classes")
    right.set_ylim(bottom=0)
    right.legend(fontsize=8)
    written += _save(figure, title, folder, name)
  return written


def close_up(samples: np.ndarray) -> slice:
  """Returns which samples `theorem` draws close up: the middle 25.

  Args:
    samples: as `theorem` takes them.
  """
  middle = len(samples) // 2
  return slice(max(middle - 12, 0), middle + 13)


def theorem(
  projection: np.ndarray,
  outputs: np.ndarray,
  samples: np.ndarray,
  labels: np.ndarray,
  folder: epath.Path,
  title: str,
) -> None:
  """The network of Theorem 1 along its projection: whole, and a close-up.

  Args:
    projection: z of the curve, ascending `[points]`.
    outputs: c(z) `[points]`.
    samples: z of the train examples, ascending `[n]`.
    labels: their classes `[n]`.
    folder: exists; theorem.png and .svg go there.
    title: of the figure.
  """
  figure, ((top,), (bottom,)) = plots.figure(2, 1, (9, 5.4))
  close = close_up(samples)
  blue, orange = plots.COLOURS[:2]
  top.plot(projection, outputs, color=blue, linewidth=0.4)
  low, high = samples[close][0], samples[close][-1]
  top.axvspan(low, high, color=orange, alpha=0.6)
  top.set_ylabel("c(z), all samples")
  inside = (projection >= low) & (projection <= high)
  look = {"color": blue, "linewidth": 1.2, "label": "network"}
  bottom.plot(projection[inside], outputs[inside], **look)
  look = {"color": orange, "markersize": 4, "label": "train examples"}
  bottom.plot(samples[close], labels[close], "o", **look)
  bottom.legend(fontsize=8, loc="upper right", ncols=2)
  bottom.set_ylabel("c(z), 25 samples")
  top.set_ylim(-0.6, labels.max() + 0.6)
  # Headroom for the legend.
  bottom.set_ylim(-0.6, labels.max() + 2.2)
  bottom.set_xlabel("projection z = <a, x>")
  bottom.ticklabel_format(useOffset=False)
  _save(figure, title, folder, "theorem")


def rademacher(
  rows: Sequence[_Row], folder: epath.Path, title: str
) -> list[str]:
  """Correlation with random signs against n and against steps, with bands.

  Args:
    rows: one for each n and step: n, step, correlation, low, high.
    folder: exists; rademacher.png and .svg go there.
    title: of the figure.

  Returns:
    The names of the files.
  """
  figure, ((left, right),) = plots.figure(1, 2, (10, 3.6))
  panels = ((left, "n", "step"), (right, "step", "n"))
  for axis, along, by in panels:
    for k, (look, value, mine) in enumerate(_lines(rows, along, by)):
      x, low, high = mine[along], mine["low"], mine["high"]
      axis.plot(
        x,
        mine["correlation"],
        **look,
        linestyle=plots.STYLES[k % len(plots.STYLES)],
        markersize=3,
        label=f"{value:,} steps" if by == "step" else f"n = {value:,}",
      )
      shade = {"color": look["color"], "alpha": 0.2, "linewidth": 0}
      axis.fill_between(x, low, high, **shade)
    axis.set_ylim(-0.2, 1.05)
    axis.legend(fontsize=8, loc="upper left", bbox_to_anchor=(1, 1))
  left.set_xscale("log")
  # Named at the n that were taken: the scale's own numbers would overlap.
  sizes = sorted({row["n"] for row in rows})
  left.set_xticks(sizes, [f"{n:,}" for n in sizes])
  left.set_xticks([], minor=True)
  # Linear up to the first reading after step 0, which a log scale lacks.
  first = min((row["step"] for row in rows if row["step"]), default=1)
  right.set_xscale("symlog", linthresh=first)
  right.set_xlim(left=-0.1 * first)
  left.set_xlabel("examples n")
  right.set_xlabel("training steps")
  left.set_ylabel("correlation with random signs")
  return _save(figure, title, folder, "rademacher")
