"""Whether it helps to remove or to fix the labels that look wrong."""

from collections.abc import Iterator, Sequence

import numpy as np
from etils import epath
from scipy import stats

from rethinking.report import label_issues, pictures, row_files
from rethinking.report.pictures import Picture
from rethinking.report.rows import Group, about
from rethinking.storage import files, plots, tables

ARMS = {
  "given": "given labels",
  "random": "as many removed at random",
  "removed": "listed removed",
  "fixed": "listed fixed",
  "true": "true labels",
}


def write(groups: Sequence[Group], workdir: epath.Path) -> list[str]:
  """Writes which labels look wrong, and what it helps to repair them.

  Beside the files of `label_issues.write`: repair.csv, a line an arm; repair.md
  and a picture.

  Args:
    groups: of the figure.
    workdir: of the sweep.

  Returns:
    The names of the files.
  """
  written = label_issues.write(groups, workdir)
  table = []
  for path in sorted(workdir.glob("repair/*/results.jsonl")):
    table += _level(path.parent.name, path)
  if not table:
    return written
  return [*written, *draw(table, workdir, about(groups))]


def draw(
  table: Sequence[dict], folder: epath.Path, about: str = ""
) -> list[str]:
  """Writes repair.csv, repair.md and the picture of its rows.

  Args:
    table: rows of repair.csv, at least one.
    folder: exists.
    about: for the picture's metadata.

  Returns:
    The names of the files.
  """
  files.replace(folder / "repair.csv", tables.csv_text(table).encode())
  files.replace(folder / "repair.md", _page(table).encode())
  written = ["repair.csv", "repair.md"]
  with plots.drawing("A picture of repair"):
    said = ["Means and 95 % intervals over seeds."]
    written += pictures.save(_picture(table), folder, said, about)
  return written


def _level(name: str, path: epath.Path) -> Iterator[dict]:
  """Rows of repair.csv of one results.jsonl."""
  seen: dict[str, dict[int, float]] = {}
  for group in row_files.load(path).groups:
    for row in group.rows:
      arm = row["cell"].rpartition("-seed")[0]
      seen.setdefault(arm, {})[row["config"]["seed"]] = row["test_accuracy"]
  for arm in ARMS:
    if arm not in seen:
      continue
    own = seen[arm]
    both = [s for s in own if s in seen.get("given", {})]
    gain = np.array([own[s] - seen["given"][s] for s in both])
    mean, low, high = _interval(np.array([*own.values()]))
    more, more_low, more_high = _interval(gain)
    yield {
      "level": name,
      "arm": arm,
      "runs": len(own),
      "test_accuracy": mean,
      "test_accuracy_low": low,
      "test_accuracy_high": high,
      "gain": more,
      "gain_low": more_low,
      "gain_high": more_high,
    }


def _interval(values: np.ndarray) -> tuple[float, float, float]:
  """Mean and 95 % interval by Student's t; NaN of fewer than two."""
  if len(values) < 2:
    return float(values.mean()) if len(values) else np.nan, np.nan, np.nan
  mean = values.mean()
  half = stats.t.ppf(0.975, len(values) - 1) * values.std(ddof=1)
  half /= len(values) ** 0.5
  return float(mean), float(mean - half), float(mean + half)


def _page(table: Sequence[dict]) -> str:
  lines = [
    {
      "level": row["level"],
      "trained on": ARMS.get(row["arm"], row["arm"]),
      "runs": str(row["runs"]),
      "test accuracy (%)": _text(row, "test_accuracy"),
      "more than on given labels": _text(row, "gain"),
    }
    for row in table
  ]
  return (
    "# Repair\n\nTest accuracy after training on the list's consequences: "
    "means and 95 % intervals over seeds (Student's t; differences are of the "
    "same seeds).\n\n" + tables.markdown(lines)
  )


def _text(row: dict, name: str) -> str:
  mean, low, high = (100 * row[name + end] for end in ("", "_low", "_high"))
  sign = "+" if name == "gain" else ""
  return f"{mean:{sign}.2f} [{low:{sign}.2f}, {high:{sign}.2f}]"


def _picture(table: Sequence[dict]) -> Picture:
  """Test accuracy of each arm with its interval."""
  levels = [*dict.fromkeys(row["level"] for row in table)]
  fig, axes = pictures.panels(len(levels), 4.8, 2.8)
  for axis, level in zip(axes, levels, strict=True):
    mine = [row for row in table if row["level"] == level]
    for k, row in enumerate(mine):
      mean, *ends = (
        100 * row[f"test_accuracy{end}"] for end in ("", "_low", "_high")
      )
      axis.plot(ends, [k, k], color=plots.COLOURS[0], linewidth=2)
      axis.plot([mean], [k], "o", color=plots.COLOURS[0])
    names = [ARMS.get(row["arm"], row["arm"]) for row in mine]
    axis.set_yticks(range(len(mine)), names)
    axis.invert_yaxis()
    axis.set_xlabel("test accuracy (%)")
  fig.suptitle("Does it help to repair the labels?", fontsize=10)
  return Picture("repair", fig)
