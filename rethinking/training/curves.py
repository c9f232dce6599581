"""The curves of one run."""

from collections.abc import Sequence
from typing import Any

from etils import epath

from rethinking.storage import plots
from rethinking.training import metrics


def scale(loss: Any, accuracy: Any) -> None:
  """Gives axes the scales that losses and accuracies have in all curves."""
  loss.set_ylabel("cross-entropy (nats)")
  accuracy.set_ylabel("accuracy (%)")
  loss.set_yscale("symlog", linthresh=0.1)
  loss.set_ylim(bottom=0)
  accuracy.set_ylim(-2, 102)


def draw(
  rows: Sequence[dict[str, Any]], path: epath.Path, title: str
) -> list[str]:
  """Draws loss and accuracy by epoch, of the examples that a run's end shows.

  Args:
    rows: evaluations, as in metrics.jsonl.
    path: where to, without an ending: .png and .svg.
    title: of the picture.

  Returns:
    The names of the files.
  """
  fig, ((left, right),) = plots.figure(1, 2, (9, 3.6))
  epochs = [row["epoch"] for row in rows]
  shown = [
    metric
    for metric in metrics.METRICS
    if metric.end and all(row.get(metric.name) is not None for row in rows)
  ]
  # A part has one look, in both.
  ends = [*dict.fromkeys(metric.end for metric in shown)]
  for axis, unit in ((left, metrics.LOSS), (right, metrics.ACCURACY)):
    for metric in (m for m in shown if m.unit == unit):
      k = ends.index(metric.end)
      # A colour that comes again comes in another style.
      style = k + k // len(plots.COLOURS)
      axis.plot(
        epochs,
        [unit.scale * row[metric.name] for row in rows],
        label=metric.end.strip(),
        color=plots.COLOURS[k % len(plots.COLOURS)],
        linestyle=plots.STYLES[style % len(plots.STYLES)],
        # The second of two equal lines must not hide the first.
        linewidth=max(0.8, 2.4 - 0.3 * k),
      )
    axis.set_xlabel("epoch")
  scale(left, right)
  right.legend(fontsize=8, loc="center right")
  fig.suptitle(title, fontsize=10)
  return plots.save(fig, path)
