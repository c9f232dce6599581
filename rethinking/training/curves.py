"""The curves of one run."""

from collections.abc import Sequence
from typing import Any

from etils import epath

from rethinking.storage import plots


def draw(rows: Sequence[dict[str, Any]], path: epath.Path, title: str) -> None:
  """Draws loss and accuracy by epoch: train, test, validation if there is one.

  Args:
    rows: evaluations, as in metrics.jsonl.
    path: where to, ending in .png or .svg.
    title: of the picture.
  """
  fig, ((left, right),) = plots.figure(1, 2, (9, 3.6))
  epochs = [row["epoch"] for row in rows]
  lines = {
    "train_{}": ("train (given labels)", 0),
    "test_{}": ("test (true labels)", 1),
    "train_{}_changed": ("train, label changed", 2),
    "train_{}_unchanged": ("train, label unchanged", 3),
    "validation_{}": ("validation", 4),
  }
  for axis, quantity, scale in ((left, "loss", 1), (right, "accuracy", 100)):
    for name, (label, style) in lines.items():
      values = [row.get(name.format(quantity)) for row in rows]
      if None in values:
        continue
      axis.plot(
        epochs,
        [scale * v for v in values],
        label=label,
        color=plots.COLOURS[style],
        linestyle=plots.STYLES[style],
        # The second of two equal lines must not hide the first.
        linewidth=2.4 - 0.4 * style,
      )
    axis.set_xlabel("epoch")
  left.set_ylabel("cross-entropy (nats)")
  left.set_yscale("symlog", linthresh=0.1)
  left.set_ylim(bottom=0)
  right.set_ylabel("accuracy (%)")
  right.set_ylim(-2, 102)
  right.legend(fontsize=8, loc="center right")
  fig.suptitle(title, fontsize=10)
  plots.save(fig, path)
