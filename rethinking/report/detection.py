"""How well known wrong labels are found: a table a score, two pictures."""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from etils import epath

from rethinking import label_issues
from rethinking.config.variants import condition
from rethinking.label_issues import Issues
from rethinking.memorization.means import interval
from rethinking.memorization.scores import at_presentation
from rethinking.report import ensembles, pictures
from rethinking.report.ensembles import Ensemble
from rethinking.report.memorization_page import runs
from rethinking.report.pictures import Picture
from rethinking.report.rows import Group, about, spread, stat
from rethinking.storage import files, plots, tables
from rethinking.training import metrics

SCORES = {
  "posterior": "P(right), recommended",
  "self_confidence": "self confidence",
  "normalized_margin": "normalized margin",
  "aum": "area under the margin",
}
LISTS = {
  "own": "P(wrong) above 0.5",
  "prune_by_noise_rate": "cleanlab, its default",
  "predicted_neq_given": "cleanlab, predicted_neq_given",
}
_DRAWS = 200
_SHARE = metrics.Unit("share")


def write(groups: Sequence[Group], workdir: epath.Path) -> list[str]:
  """Writes how well known wrong labels are found.

  detection.csv has a line a seed, level and kind of noise; detection.md the
  means over seeds; two pictures show AUROC and the expected precision beside
  the real one.

  Args:
    groups: of the figure; runs whose files are gone are left out, and levels
      without a wrong label.
    workdir: of the sweep.

  Returns:
    The names of the files.
  """
  found = ensembles.levels(groups, workdir, turn=True)
  rows = [measure(one) for one in found if one.changed.any()]
  if not rows:
    return []
  return draw(rows, workdir, about(groups))


def draw(
  rows: Sequence[Mapping[str, Any]], folder: epath.Path, about: str = ""
) -> list[str]:
  """Writes what `write` does of rows of detection.csv.

  Args:
    rows: at least one.
    folder: exists.
    about: for the pictures' metadata.

  Returns:
    The names of the files.
  """
  files.replace(folder / "detection.csv", tables.csv_text(rows).encode())
  cells = _cells(rows)
  said = rows[0]["runs"]
  files.replace(folder / "detection.md", _page(said, cells).encode())
  written = ["detection.csv", "detection.md"]
  with plots.drawing("A picture of detection"):
    for picture in (_levels(cells), _calibration(rows)):
      written += pictures.save(picture, folder, [said], about)
  return written


def measure(one: Ensemble) -> dict[str, Any]:
  """Returns how well the wrong labels of one ensemble are found.

  Args:
    one: of known true labels.

  Returns:
    A row of detection.csv.
  """
  config, wrong = one.config, one.changed
  found = label_issues.find(one.labels, one.outside)
  scores = of_each(one, found)
  expected = found.p_wrong[found.listed]
  row = {
    "noise": condition(config),
    "p": config["p"],
    "seed": config["seed"],
    "epoch": one.epoch or config["epochs"],
    "wrong": int(wrong.sum()),
    "estimated": found.errors,
    "estimated_low": found.errors_low,
    "estimated_high": found.errors_high,
    "listed": int(found.listed.sum()),
    "expected_precision": float(expected.mean()) if expected.size else None,
    "real_precision": _mean(wrong[found.listed]),
    "guard": found.guard,
    "runs": runs(one),
  }
  for name, listed in _lists(one, found).items():
    row |= {
      f"listed_{name}": int(listed.sum()),
      f"precision_{name}_list": _mean(wrong[listed]),
      f"recall_{name}_list": float(listed[wrong].mean()),
    }
  for name, score in scores.items():
    draws = label_issues.auroc_draws(wrong, score, config["seed"], _DRAWS)
    low, high = interval(draws)
    row |= {
      f"auroc_{name}": label_issues.auroc(wrong, score),
      f"auroc_{name}_low": low,
      f"auroc_{name}_high": high,
      f"ap_{name}": label_issues.average_precision(wrong, score),
      f"precision_{name}": label_issues.precision_at_errors(wrong, score),
    }
  return row


def _mean(values: np.ndarray) -> float | None:
  return float(values.mean()) if values.size else None


def _lists(one: Ensemble, found: Issues) -> dict[str, np.ndarray]:
  """Whose list has which examples: ours and, where it is there, cleanlab's."""
  lists = {"own": found.listed}
  with contextlib.suppress(ImportError):
    # Of the extra `compare`.
    from cleanlab.filter import find_label_issues

    probs = one.outside.astype(np.float64)
    probs /= probs.sum(axis=1, keepdims=True)
    for name in LISTS:
      if name != "own":
        lists[name] = find_label_issues(
          one.labels, probs, filter_by=name, n_jobs=1
        )
  return lists


def of_each(one: Ensemble, found: Issues) -> dict[str, np.ndarray]:
  """Returns the scores of `SCORES`, float [n] each, low for wrong labels.

  Args:
    one: the runs.
    found: what their predictions say.
  """
  probs = one.outside
  return {
    "posterior": found.score,
    "self_confidence": label_issues.self_confidence(one.labels, probs),
    "normalized_margin": label_issues.normalized_margin(one.labels, probs),
    "aum": at_presentation(one.seen["times"], one.seen["margin"]),
  }


def _cells(
  rows: Sequence[Mapping[str, Any]],
) -> dict[tuple[str, float], list[Mapping[str, Any]]]:
  """The rows of each kind and level of noise."""
  found: dict[tuple[str, float], list[Mapping[str, Any]]] = {}
  for row in rows:
    found.setdefault((row["noise"], row["p"]), []).append(row)
  return dict(sorted(found.items()))


def _page(
  said: str,
  cells: Mapping[tuple[str, float], Sequence[Mapping[str, Any]]],
) -> str:
  parts = [
    "# Detection\n",
    f"Each line: {said} Means and standard deviations over the seeds of "
    "noise and all else; brackets: the mean ends of 95 % intervals of one "
    "seed, from a bootstrap of wrong and right labels apart.\n",
  ]
  for name, words in SCORES.items():
    parts += [f"## {words}\n", tables.markdown([*_of_score(cells, name)])]
  parts += [
    "## How many, and how sure\n",
    "Expected and real precision of what is listed, P(wrong) above 0.5; "
    "guarded: seeds at which the list may be inverted.\n",
    tables.markdown([*_calibrated(cells)]),
  ]
  parts += [
    "## Lists beside each other\n",
    "Of the same predictions, so at the same cost of training; cleanlab's "
    "where the extra `compare` is there.\n",
    tables.markdown([*_listed(cells)]),
  ]
  return "\n".join(parts)


def _of_score(cells, name: str) -> Iterator[dict[str, str]]:
  for (noise, p), rows in cells.items():

    def number(key, rows=rows):
      return stat(row[key] for row in rows)

    ends = [number(f"auroc_{name}_{end}").mean for end in ("low", "high")]
    yield {
      "noise": noise,
      "p": f"{p:g}",
      "seeds": str(len(rows)),
      "AUROC": f"{_text(number(f'auroc_{name}'))} "
      f"[{ends[0]:.4f}, {ends[1]:.4f}]",
      "average precision": _text(number(f"ap_{name}")),
      "precision at the errors": _text(number(f"precision_{name}")),
    }


def _calibrated(cells) -> Iterator[dict[str, str]]:
  for (noise, p), rows in cells.items():
    gaps = [
      abs(row["expected_precision"] - row["real_precision"])
      for row in rows
      if None not in (row["expected_precision"], row["real_precision"])
    ]
    yield {
      "noise": noise,
      "p": f"{p:g}",
      "wrong": f"{stat(row['wrong'] for row in rows).mean:.0f}",
      "estimated": f"{stat(row['estimated'] for row in rows).mean:.0f}",
      "listed": f"{stat(row['listed'] for row in rows).mean:.0f}",
      "expected precision": _text(
        stat(row["expected_precision"] for row in rows)
      ),
      "real precision": _text(stat(row["real_precision"] for row in rows)),
      "largest difference": f"{max(gaps):.3f}" if gaps else "-",
      "guarded": f"{sum(bool(row['guard']) for row in rows)} of {len(rows)}",
    }


def _listed(cells) -> Iterator[dict[str, str]]:
  for (noise, p), rows in cells.items():
    for name, words in LISTS.items():
      if f"listed_{name}" in rows[0]:
        listed = stat(row[f"listed_{name}"] for row in rows).mean
        yield {
          "noise": noise,
          "p": f"{p:g}",
          "list": words,
          "listed": f"{listed:.0f}",
          "precision": _text(
            stat(row.get(f"precision_{name}_list") for row in rows)
          ),
          "recall": _text(stat(row.get(f"recall_{name}_list") for row in rows)),
        }


def _text(found) -> str:
  return "-" if found.mean is None else spread(found, _SHARE)


def _levels(cells) -> Picture:
  """AUROC by level, a panel a kind of noise."""
  kinds = [*dict.fromkeys(noise for noise, _ in cells)]
  fig, axes = pictures.panels(len(kinds), 2.6, 3.0)
  for axis, kind in zip(axes, kinds, strict=True):
    levels = [p for noise, p in cells if noise == kind]
    for k, (name, words) in enumerate(SCORES.items()):
      stats = [
        stat(row[f"auroc_{name}"] for row in cells[kind, p]) for p in levels
      ]
      look = pictures.style(k) | {"label": words}
      pictures.band(axis, levels, stats, **look)
    axis.set_title(kind.replace("_", " "), fontsize=10)
    axis.set_xlabel("level of label noise")
    axis.set_ylabel("AUROC of wrong labels")
  pictures.legend(fig, axes[0], "Wrong labels found, by level and kind", 2)
  return Picture("detection", fig)


def _calibration(rows: Sequence[Mapping[str, Any]]) -> Picture:
  """Expected against real precision of each list; guarded ones hollow."""
  fig, ((axis,),) = plots.figure(1, 1, (4.6, 4.2))
  kinds = [*dict.fromkeys(row["noise"] for row in rows)]
  axis.plot([0, 1], [0, 1], color="0.7", linewidth=1)
  for k, kind in enumerate(kinds):
    for guarded in (False, True):
      mine = [
        (row["expected_precision"], row["real_precision"])
        for row in rows
        if row["noise"] == kind
        and row["listed"]
        and bool(row["guard"]) == guarded
      ]
      axis.plot(
        *zip(*mine, strict=True) if mine else ([], []),
        linestyle="none",
        marker=pictures.MARKERS[k % len(pictures.MARKERS)],
        color=plots.COLOURS[k % len(plots.COLOURS)],
        markerfacecolor="none" if guarded else None,
        label=None if guarded else kind.replace("_", " "),
      )
  low = min((row["real_precision"] or 1) for row in rows)
  low = min(low, *(row["expected_precision"] or 1 for row in rows)) - 0.03
  axis.set_xlim(low, 1.01)
  axis.set_ylim(low, 1.01)
  axis.set_xlabel("expected precision of the list (hollow: guarded)")
  axis.set_ylabel("real precision")
  pictures.legend(fig, axis, "How far the list is as good as it says", 2)
  return Picture("detection_calibration", fig)
