"""What all figures of a report share: lines with bands, notes, files."""

import textwrap
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from etils import epath

from rethinking.report.rows import Group, Stat
from rethinking.storage import plots

MARKERS = ("o", "s", "^", "D", "v", "P", "X")
# How the line of a guess looks.
CHANCE = {"color": "0.4", "linewidth": 0.9, "linestyle": (0, (6, 3))}


class Picture(NamedTuple):
  """A figure that is to be saved.

  Attributes:
    name: of its files, without an ending.
    figure: Matplotlib's.
    before: its own notes, sentences that come before those of all figures.
    after: those that come after.
  """

  name: str
  figure: Any
  before: Sequence[str] = ()
  after: Sequence[str] = ()


def style(index: int) -> dict[str, Any]:
  """Colour, line style and marker of the line with this number."""
  return {
    "color": plots.COLOURS[index % len(plots.COLOURS)],
    "linestyle": plots.STYLES[index % len(plots.STYLES)],
    "linewidth": 1.6,
    "marker": MARKERS[index % len(MARKERS)],
    "markersize": 4.5,
  }


def band(
  axis: Any,
  x: Sequence[float],
  stats: Sequence[Stat],
  *,
  percent: bool = False,
  **look: Any,
) -> None:
  """Draws means as a line, and one standard deviation as a band.

  The band has a gap where there is no deviation, as where a mean is a bound.

  Args:
    axis: Matplotlib's.
    x: ascending.
    stats: one for each x; those without a mean are left out.
    percent: whether the values are fractions, to be shown in percent.
    **look: as `Axes.plot` takes it.
  """
  kept = [(a, s) for a, s in zip(x, stats, strict=True) if s.mean is not None]
  if not kept:
    return
  place = np.array([a for a, _ in kept])
  scale, limits = (100, (0, 100)) if percent else (1, (-np.inf, np.inf))
  mean = scale * np.array([s.mean for _, s in kept])
  sd = scale * np.array([s.sd for _, s in kept], float)
  axis.plot(place, mean, **look)
  if np.nansum(sd):
    axis.fill_between(
      place,
      np.clip(mean - sd, *limits),
      np.clip(mean + sd, *limits),
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


def title(words: str, groups: Sequence[Group]) -> str:
  """A figure's title: what is drawn, of which data and how many seeds."""
  datasets = dict.fromkeys(str(g.settings.get("dataset")) for g in groups)
  counts = sorted({len(group.rows) for group in groups})
  several = " to ".join(map(str, dict.fromkeys((counts[0], counts[-1]))))
  seeds = "one seed" if counts == [1] else f"mean ± sd of {several} seeds"
  return f"{words}, {', '.join(datasets)}: {seeds}"


def panels(
  count: int, width: float, height: float, into: Any = None
) -> tuple[Any, list[Any]]:
  """Returns a figure and this many axes, two or three in a row.

  Args:
    count: at least 1.
    width: of one, inches.
    height: of one, inches.
    into: as `plots.figure` takes it.
  """
  columns = 2 if count in (2, 4) else min(count, 3)
  rows = -(-count // columns)
  fig, axes = plots.figure(
    rows, columns, (width * columns, height * rows), into
  )
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


def percent_axes(axis: Any, levels: Sequence[float], words: str) -> None:
  """Labels axes of percentages, 0 to 100, against label-noise levels."""
  level_axis(axis, levels)
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


def save(
  picture: Picture, folder: epath.Path, notes: Sequence[str], about: str
) -> list[str]:
  """Writes a picture as PNG and SVG, its notes under it.

  Args:
    picture: from one of the figures' functions.
    folder: exists.
    notes: sentences for under each picture.
    about: for the files' metadata.

  Returns:
    The names of the files.
  """
  name, fig, before, after = picture
  notes = [*before, *notes, *after]
  width = int(17.5 * fig.get_figwidth())
  lines = [line for note in notes for line in textwrap.wrap(note, width)]
  if lines:
    # The labels along the bottom belong to the layout, so nothing overlaps.
    fig.supxlabel("\n".join(lines), fontsize=6.5, x=0.01, ha="left")
  return plots.save(fig, folder / name, dpi=200, about=about)
