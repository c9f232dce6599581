"""The paper's Figure 1, and what became of the changed labels.

Reference: Zhang, Bengio, Hardt, Recht, Vinyals (2017), figure 1.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rethinking.config.fields import LABELS, PIXELS
from rethinking.config.figures import CONDITIONS
from rethinking.report import pictures, series
from rethinking.report.pictures import Picture
from rethinking.report.rows import Group
from rethinking.report.settings import value_text
from rethinking.storage import plots


def draw(groups: Sequence[Group], name: str) -> Iterator[Picture]:
  """Draws all of it that the groups allow.

  Args:
    groups: of one figure.
    name: the figure's, such as "figure1".
  """
  join = "" if name[-1].isdigit() else "_"
  lines = [one for one in series.series(groups) if len(one.points) > 1]
  panels = (loss, groups), (time_to_fit, lines), (test_error, lines)
  drawn = []
  for letter, (panel, of) in zip("abc", panels, strict=True):
    drawn += panel(of, f"{name}{join}{letter}")
  yield from drawn
  if len(drawn) == len(panels):
    fig, parts = plots.sheet(len(panels), (5.2 * len(panels), 4.2))
    for part, (panel, of) in zip(parts, panels, strict=True):
      list(panel(of, name, part))
    before = [note for picture in drawn for note in picture.before]
    after = [note for picture in drawn for note in picture.after]
    yield Picture(name, fig, before, after)
  yield from changed(lines, f"{name}_changed")


def loss(
  groups: Sequence[Group], name: str, into: Any = None
) -> Iterator[Picture]:
  """Mean train loss against steps, for each condition (Figure 1a)."""
  conditions = (*LABELS, *PIXELS)
  found: dict[str, list[Group]] = {}
  for one in groups:
    if one.condition in CONDITIONS and len(one.curve("train_loss")) > 1:
      found.setdefault(series.rest(one, conditions), []).append(one)
  if not found:
    return
  # The paper draws one architecture; here those with the most conditions.
  most = max(map(len, found.values()))
  drawn = [mine for mine in found.values() if len(mine) == most]
  shown = [one for mine in drawn for one in mine]
  different = series.varying(shown, (*conditions, "arch"))
  fig, axes = pictures.panels(len(drawn), 5.2, 3.9, into)
  for axis, mine in zip(axes, drawn, strict=True):
    _losses(axis, sorted(mine, key=lambda g: CONDITIONS.index(g.condition)))
    words = [f"{n} {value_text(mine[0].settings, n)}" for n in different]
    axis.set_title(", ".join([mine[0].arch, *words]), fontsize=10)
  widest = max(axes, key=lambda axis: len(axis.lines))
  words = pictures.title("Train loss", shown)
  pictures.legend(fig, widest, words, 3 * min(len(drawn), 2))
  yield Picture(name, fig)


def _losses(axis, groups: Sequence[Group]) -> None:
  """One panel of Figure 1a."""
  curves = []
  for group in groups:
    steps, _, stats = zip(*group.curve("train_loss"), strict=True)
    curves.append((steps, stats))
  top = max(s.mean for _, stats in curves for s in stats)
  last = max(steps[-1] for steps, _ in curves)
  # What follows when all lie on the axis is not worth the paper.
  moving = [
    step
    for steps, stats in curves
    for step, s in zip(steps, stats, strict=True)
    if s.mean > 0.02 * top
  ]
  end = min(1.3 * max(moving), last)
  unit, words = (1000, "thousand steps") if end > 5000 else (1, "steps")
  for k, (group, (steps, stats)) in enumerate(zip(groups, curves, strict=True)):
    index = CONDITIONS.index(group.condition)
    inside = sum(step <= end for step in steps)
    pictures.band(
      axis,
      [step / unit for step in steps],
      stats,
      label=CONDITIONS[index].replace("_", " ").replace("gauss", "Gauss"),
      # Set off, so that markers do not hide each other.
      markevery=(k * inside // 40, max(1, inside // 8)),
      **pictures.style(index),
    )
  # A first loss may lie far above that of a guess: the rest matters more.
  axis.set_ylim(0, min(1.05 * top, -1.5 * math.log(groups[0].chance)))
  axis.set_xlim(0, end / unit)
  if end < last:
    words = f"{words} (of {last / unit:g})"
  axis.set_xlabel(words)
  axis.set_ylabel("train loss (nats)")


def time_to_fit(
  lines: Sequence[series.Series], name: str, into: Any = None
) -> Iterator[Picture]:
  """Time to fit relative to true labels against the level (Figure 1b)."""
  found = [(line, series.relative_times(line)) for line in lines]
  if not any(len(times) > 1 for _, times in found):
    return
  fig, ((axis,),) = plots.figure(1, 1, (5.2, 3.9), into)
  axis.axhline(1, color="0.6", linewidth=0.8)
  note = (
    "Thin bars: from the last evaluation that did not fit to the first that "
    "did."
  )
  if any(time.censored for _, times in found for _, time in times):
    note += (
      " Open with an arrow: not fitted by every run, so at least this long."
    )
  left_out = [
    f"{line.label} is left out: true labels were not fitted by every seed."
    for line, times in found
    if not times
  ]
  groups = []
  for k, (line, times) in enumerate(found):
    if not times:
      continue
    look = pictures.style(k)
    p = [group.p for group, _ in times]
    pictures.band(axis, p, [t for _, t in times], label=line.label, **look)
    groups += line.points
    for group, time in times:
      _interval(axis, group, time.mean / group.time_to_fit().mean, look)
      if time.censored:
        pictures.hollow(axis, group.p, time.mean, look)
        axis.annotate(
          "",
          (group.p, time.mean),
          (0, 18),
          textcoords="offset points",
          arrowprops={"arrowstyle": "<-", "color": look["color"]},
        )
  pictures.level_axis(axis, [g.p for g in groups])
  axis.set_ylabel("time to fit, relative to true labels")
  # Room for an arrow over the highest point.
  axis.set_ylim(0, 1.12 * axis.get_ylim()[1])
  words = pictures.title("Steps to fit the train set", groups)
  pictures.legend(fig, axis, words, 3)
  yield Picture(name, fig, [note], left_out)


def _interval(axis, group: Group, scale: float, look) -> None:
  """The bar in which the time to fit lies."""
  time = group.time_to_fit()
  before = group.stat("steps_not_fit").mean
  if time.censored or before is None:
    return
  axis.plot(
    [group.p] * 2,
    [scale * before, scale * time.mean],
    color=look["color"],
    linewidth=0.8,
  )


def test_error(
  lines: Sequence[series.Series], name: str, into: Any = None
) -> Iterator[Picture]:
  """Test error at the first fit against the level (Figure 1c)."""
  if not lines:
    return
  groups = [group for line in lines for group in line.points]
  fig, ((axis,),) = plots.figure(1, 1, (5.2, 3.9), into)
  chance = 100 * (1 - groups[0].chance)
  axis.axhline(chance, **pictures.CHANCE)
  axis.annotate(
    f"chance, {chance:g} %",
    (0.02, chance),
    (0, 3),
    xycoords=("axes fraction", "data"),
    textcoords="offset points",
    ha="left",
    fontsize=8,
    color="0.3",
  )
  notes = []
  for k, line in enumerate(lines):
    look = pictures.style(k)
    p = [group.p for group in line.points]
    found = [group.test_error_at_fit() for group in line.points]
    errors = [error for error, _ in found]
    pictures.band(axis, p, errors, percent=True, label=line.label, **look)
    for group, (error, whole) in zip(line.points, found, strict=True):
      if not whole and error.mean is not None:
        pictures.hollow(axis, group.p, 100 * error.mean, look)
        notes = [
          "Open: not fitted by every run; those count with their last test "
          "error."
        ]
  levels = [group.p for group in groups]
  pictures.percent_axes(axis, levels, "test error at the first fit")
  pictures.legend(fig, axis, pictures.title("Test error", groups), 3)
  yield Picture(name, fig, notes)


# What a group is asked about its train examples, a method by the moment.
_Moments = Mapping[str, str]

# At the first fit the given labels are met by definition; what a network knew
# before it fitted the noise is seen at its best.
_MOMENTS: _Moments = {
  "first fit": "stat_at_fit",
  "best test accuracy": "stat_at_best",
}


def changed(
  lines: Sequence[series.Series], name: str, moments: _Moments = _MOMENTS
) -> Iterator[Picture]:
  """Accuracy on changed and unchanged examples against the level."""
  lines = [
    line
    for line in lines
    if any(g.stat("train_accuracy_changed").n for g in line.points)
  ]
  if not lines:
    return
  parts = {
    "train_accuracy_unchanged": "label unchanged, fitted",
    "train_accuracy_changed": "label changed, fitted",
    "changed_predicted_true": "label changed, true class predicted",
  }
  # An old table.csv knows no moment along its runs.
  shown = [
    (moment, line)
    for moment, ask in moments.items()
    for line in lines
    if any(getattr(g, ask)("train_accuracy_unchanged").n for g in line.points)
  ]
  if not shown:
    return
  fig, axes = pictures.panels(len(shown), 3.7, 3.2)
  for axis, (moment, line) in zip(axes, shown, strict=True):
    p = [group.p for group in line.points]
    for k, (quantity, words) in enumerate(parts.items()):
      pictures.band(
        axis,
        p,
        [getattr(group, moments[moment])(quantity) for group in line.points],
        percent=True,
        label=words,
        **pictures.style(k),
      )
    pictures.percent_axes(axis, p, "of the examples")
    axis.set_title(f"{line.label}: {moment}", fontsize=9)
  groups = [group for line in lines for group in line.points]
  words = pictures.title("Train examples", groups)
  pictures.legend(fig, axes[0], words, 1 if len(axes) == 1 else 3)
  yield Picture(name, fig)
