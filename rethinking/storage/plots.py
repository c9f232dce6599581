"""Pictures of one run."""

import io
from collections.abc import Mapping, Sequence
from typing import Any

from etils import epath

from rethinking.storage import files

# Okabe and Ito's palette: distinct with any colour vision, and in grey by
# the line styles that go with it.
COLOURS = (
  "#0072B2",
  "#D55E00",
  "#009E73",
  "#CC79A7",
  "#E69F00",
  "#56B4E9",
  "#000000",
)
STYLES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (1, 2)), "-")


def figure(rows: int, columns: int, size: tuple[float, float]):
  """Returns a Matplotlib figure and its axes, with no window behind it.

  Args:
    rows: of axes.
    columns: of axes.
    size: width and height, inches.
  """
  # Imported here: a run without plots need not wait for it.
  from matplotlib.figure import Figure

  fig = Figure(figsize=size, layout="constrained")
  axes = fig.subplots(rows, columns, squeeze=False)
  for ax in axes.flat:
    ax.spines[["top", "right"]].set_visible(False)
    ax.grid(alpha=0.25, linewidth=0.5)
  return fig, axes


def save(fig, path: epath.Path, dpi: int = 120) -> None:
  """Writes a figure, in the format of the path's ending, local or gs://.

  Args:
    fig: from `figure`.
    path: ends in .png or .svg.
    dpi: dots per inch, for PNG.
  """
  import matplotlib

  buffer = io.BytesIO()
  # No date inside, and ids of the name's own: the same numbers give the same
  # file.
  metadata = {"Date": None} if path.suffix == ".svg" else None
  with matplotlib.rc_context({"svg.hashsalt": path.stem}):
    fig.savefig(buffer, format=path.suffix[1:], dpi=dpi, metadata=metadata)
  files.replace(path, buffer.getvalue())


def curves(
  rows: Sequence[dict[str, Any]],
  path: epath.Path,
  title: str,
  lines: Mapping[str, Mapping[str, str]],
) -> None:
  """Draws loss and accuracy by epoch.

  Args:
    rows: evaluations, as in metrics.jsonl.
    path: where to, ending in .png or .svg.
    title: of the picture.
    lines: of "loss" (nats) and "accuracy" (fractions): the metrics, name to
      words; drawn are those that every row has.
  """
  fig, ((left, right),) = figure(1, 2, (9, 3.6))
  epochs = [row["epoch"] for row in rows]
  for axis, quantity, scale in ((left, "loss", 1), (right, "accuracy", 100)):
    for k, (name, words) in enumerate(lines[quantity].items()):
      values = [row.get(name) for row in rows]
      if None in values:
        continue
      axis.plot(
        epochs,
        [scale * v for v in values],
        label=words,
        color=COLOURS[k % len(COLOURS)],
        linestyle=STYLES[k % len(STYLES)],
        # The second of two equal lines must not hide the first.
        linewidth=max(0.8, 2.4 - 0.3 * k),
      )
    axis.set_xlabel("epoch")
  left.set_ylabel("cross-entropy (nats)")
  left.set_yscale("symlog", linthresh=0.1)
  left.set_ylim(bottom=0)
  right.set_ylabel("accuracy (%)")
  right.set_ylim(-2, 102)
  right.legend(fontsize=8, loc="center right")
  fig.suptitle(title, fontsize=10)
  save(fig, path)
