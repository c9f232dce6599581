"""What all figures of a report share: lines with bands, notes, files."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import Any

import numpy as np
from etils import epath

from rethinking import plots
from rethinking.report.rows import Group, Stat, stat

MARKERS = ("o", "s", "^", "D", "v", "P", "X")


def style(index: int, *, marker: bool = True) -> dict[str, Any]:
  """Colour, line style and marker of the line with this number."""
  found = {
    "color": plots.COLOURS[index % len(plots.COLOURS)],
    "linestyle": plots.STYLES[index % len(plots.STYLES)],
    "linewidth": 1.6,
  }
  if marker:
    found |= {"marker": MARKERS[index % len(MARKERS)], "markersize": 4.5}
  return found


def band(
  axis: Any,
  x: Sequence[float],
  stats: Sequence[Stat],
  *,
  scale: float = 1,
  limits: tuple[float, float] | None = None,
  **look: Any,
) -> None:
  """Draws means as a line, and one standard deviation as a band.

  The band has a gap where there is no deviation, as where a mean is a bound.

  Args:
    axis: Matplotlib's.
    x: ascending.
    stats: one for each x; those without a mean are left out.
    scale: what the values are multiplied with.
    limits: least and greatest possible value, after scaling.
    **look: as `Axes.plot` takes it.
  """
  kept = [(a, s) for a, s in zip(x, stats, strict=True) if s.mean is not None]
  if not kept:
    return
  place = np.array([a for a, _ in kept])
  mean = scale * np.array([s.mean for _, s in kept])
  sd = abs(scale) * np.array([s.sd for _, s in kept], float)
  axis.plot(place, mean, **look)
  if np.nansum(sd):
    low, high = limits or (-np.inf, np.inf)
    axis.fill_between(
      place,
      np.clip(mean - sd, low, high),
      np.clip(mean + sd, low, high),
      color=look["color"],
      alpha=0.18,
      linewidth=0,
    )


def hollow(axis: Any, x: float, y: float, look: dict[str, Any]) -> None:
  """Draws an open marker over a point: a bound, or not what it seems."""
  axis.plot(
    [x],
    [y],
    color=look["color"],
    linestyle="none",
    marker=look["marker"],
    markersize=look["markersize"] + 1,
    markerfacecolor="white",
    markeredgewidth=1.4,
    zorder=4,
  )


def curve(group: Group, name: str) -> tuple[list[float], list[Stat]]:
  """A quantity along the runs of a group.

  Args:
    group: rows with curves.
    name: such as "train_loss".

  Returns:
    The steps at which every run was evaluated, and the values there.
  """
  found = [
    dict(zip(c["step"], c[name], strict=True))
    for c in (row.get("curve") for row in group.rows)
    if c and name in c
  ]
  if not found:
    return [], []
  steps = sorted(set.intersection(*(set(one) for one in found)))
  return steps, [stat(one[s] for one in found) for s in steps]


def epochs(group: Group, steps: Sequence[float]) -> list[float]:
  """The epochs of steps that `curve` returned."""
  by_step: dict[float, float] = {}
  for row in group.rows:
    by_step |= zip(row["curve"]["step"], row["curve"]["epoch"], strict=True)
  return [by_step[s] for s in steps]


def title(words: str, groups: Sequence[Group]) -> str:
  """A figure's title: what is drawn, of which data and how many seeds."""
  datasets = dict.fromkeys(str(g.settings.get("dataset")) for g in groups)
  counts = sorted({len(group.rows) for group in groups})
  if counts == [1]:
    seeds = "one seed"
  elif len(counts) == 1:
    seeds = f"mean ± sd of {counts[0]} seeds"
  else:
    seeds = f"mean ± sd of {counts[0]} to {counts[-1]} seeds"
  return f"{words}, {', '.join(datasets)}: {seeds}"


def panels(count: int, width: float, height: float) -> tuple[Any, list[Any]]:
  """Returns a figure and this many axes, two or three in a row.

  Args:
    count: at least 1.
    width: of one, inches.
    height: of one, inches.
  """
  columns = 2 if count in (2, 4) else min(count, 3)
  rows = -(-count // columns)
  fig, axes = plots.figure(rows, columns, (width * columns, height * rows))
  for axis in axes.flat[count:]:
    axis.set_axis_off()
  return fig, list(axes.flat[:count])


def legend(fig: Any, axis: Any, words: str, columns: int) -> None:
  """Puts title and legend above the axes, where no curve can lie under them.

  Args:
    fig: from `panels` or `plots.figure`.
    axis: whose lines are named; the other axes have the same.
    words: the figure's title.
    columns: of the legend.
  """
  fig.legend(
    *axis.get_legend_handles_labels(),
    title=words,
    title_fontsize=10,
    fontsize=8,
    loc="outside upper center",
    ncols=columns,
    frameon=False,
  )


def percent_axis(axis: Any, words: str) -> None:
  """Labels an axis of accuracies or errors, from 0 to 100."""
  axis.set_ylabel(f"{words} (%)")
  axis.set_ylim(-3, 103)
  axis.set_yticks(range(0, 101, 20))


def level_axis(axis: Any, levels: Sequence[float]) -> None:
  """Labels the axis of label-noise levels."""
  axis.set_xlabel("label-noise level p")
  if len(set(levels)) < 12:
    axis.set_xticks(sorted(set(levels)))
  low, high = min(levels), max(levels)
  margin = 0.04 * (high - low or 1)
  axis.set_xlim(low - margin, high + margin)


def save(fig: Any, folder: epath.Path, name: str, notes: Sequence[str]) -> str:
  """Writes a figure as PNG and SVG, its notes under it.

  Args:
    fig: from `plots.figure`.
    folder: exists.
    name: of the files, without an ending.
    notes: sentences.

  Returns:
    The name.
  """
  import matplotlib

  width = int(17.5 * fig.get_figwidth())
  lines = [line for note in notes for line in textwrap.wrap(note, width)]
  if lines:
    # The labels along the bottom belong to the layout, so nothing overlaps.
    fig.supxlabel("\n".join(lines), fontsize=6.5, x=0.01, ha="left")
  # With a salt of its own an SVG's ids are the same each time.
  with matplotlib.rc_context({"svg.hashsalt": name}):
    plots.save(fig, folder / f"{name}.png", dpi=200)
    # The layout is found: finding it again would take as long as drawing.
    fig.set_layout_engine("none")
    plots.save(fig, folder / f"{name}.svg")
  return name
