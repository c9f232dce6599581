"""What an ensemble on subsets says, as a page of tables."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from rethinking.memorization import agreement
from rethinking.memorization.influence import too_few
from rethinking.memorization.means import Resampled, interval, means, resampled
from rethinking.memorization.scores import Scores, largest_standard_error
from rethinking.report.ensembles import WHO, Ensemble
from rethinking.storage import tables

# Of changed labels: without fitting there is nothing to memorise.
_FITTED = 0.8


def rows(
  found: Sequence[Ensemble], scored: Sequence[Scores]
) -> list[dict[str, Any]]:
  """Returns the rows of memorization.csv, one a level and kind of `WHO`.

  Args:
    found: ensembles, a level each.
    scored: theirs.

  Returns:
    What the runs are, the means and the ends of their intervals, None where
    there is none; `change`: of mem, less the level before; what is of a level,
    from `runs` on, in each of its rows.
  """
  lines = []
  before: dict[str, tuple[Any, Resampled]] = {}
  for one, score in zip(found, scored, strict=True):
    about = (one.permutations, one.config["seed"])
    level = _level(one, score)
    for who, among in one.parts().items():
      mean = means(score, among)
      drawn = resampled(one.masks[:, among], one.correct[:, among], *about)
      # Permutations drawn alike are pairs.
      last, before[who] = before.get(who), (about, drawn)
      change = np.array([np.nan])
      if last is not None and last[0] == about:
        change = drawn.difference - last[1].difference
      fitted = who == WHO[0] or mean["acc_in"] >= _FITTED
      ends = (*interval(drawn.difference), *interval(change))
      lines.append(
        {
          "about": runs(one),
          "dataset": one.config["dataset"],
          "name": one.name,
          "level": one.config["p"],
          "examples": who,
          "fitted": fitted,
          "n": mean["examples"],
          **{name: _known(mean[name]) for name in _MEANS},
          **dict(zip(_ENDS, map(_known, ends), strict=True)),
          **level,
        }
      )
  return lines


# Their titles, in the order of the table's columns.
_MEANS = {
  "acc_in": "accuracy inside",
  "acc_out": "outside",
  "mem": "mem",
  "pooled_acc_in": "pooled accuracy",
  "p_in": "p inside",
  "p_out": "p outside",
  "mem_p": "mem_p",
  "heldout_true": "true class outside",
}
_ENDS = ("mem_low", "mem_high", "change_low", "change_high")


def _level(one: Ensemble, score: Scores) -> dict[str, Any]:
  count = len(one.masks)
  halves = agreement.halves(one.masks, one.p, one.permutations)
  return {
    "runs": count,
    "standard_error": largest_standard_error(count, one.config["ratio"]),
    "halves": _known(halves),
    "without_a_side": int(np.count_nonzero(np.isnan(score.mem))),
  }


def _known(value: float) -> float | None:
  return None if np.isnan(value) else float(value)


def page(lines: Sequence[Mapping[str, Any]]) -> str:
  """Returns memorization.md, without what is said of few.

  Args:
    lines: of memorization.csv.
  """
  levels = {line["name"]: line for line in lines}
  return "\n".join(
    [
      "# Memorisation\n",
      f"{lines[0]['about']} Accuracy is on the given label, of an example by "
      "the runs that trained on it (inside) and those that did not, examples "
      "counting equally; mem is the difference (Feldman 2020), p the "
      "probability of the given label. Pooled accuracy is over all pairs of a "
      "run and an example inside. Intervals are bootstraps over permutations, "
      "those of differences between levels with the same permutations in "
      "both.\n",
      tables.markdown([*map(_mean, lines)]),
      "Halves: the rank correlation of p outside between the even and the odd "
      "permutations. The standard error is the largest that an example's mem "
      "can have, 1 / (2 sqrt(K r (1 - r))), where both shares are 1/2.\n",
      tables.markdown(
        [
          {
            "level": f"{line['level']:g}",
            "runs": str(line["runs"]),
            "standard error": f"{line['standard_error']:.3f}",
            "halves": _number(line["halves"]),
            "without a side": str(line["without_a_side"]),
          }
          for line in levels.values()
        ]
      ),
    ]
  )


def _mean(line: Mapping[str, Any]) -> dict[str, str]:
  numbers = [(title, _number(line[name])) for name, title in _MEANS.items()]
  return {
    "level": f"{line['level']:g}",
    "examples": line["examples"] + ("" if line["fitted"] else ", not fitted"),
    "n": str(line["n"]),
    **dict(numbers[:3]),
    "mem, 95 %": _interval(line, "mem"),
    "less the level before, 95 %": _interval(line, "change"),
    **dict(numbers[3:]),
  }


def more(
  found: Sequence[Ensemble],
  scored: Sequence[Scores],
  references: Sequence[np.ndarray] | str | None,
  leaning: Sequence[Mapping[str, Any]] | None,
) -> Iterator[str]:
  """Yields what else memorization.md has where it is asked for.

  Args:
    found: ensembles, a level each.
    scored: theirs.
    references: others' scores, float [n] a level; what is wrong with their
      file; None: none are asked for.
    leaning: what each level's folder says of influence: `pairs` and `causal`,
      rows of those files, `threshold` and `expected_false`, None where there
      is none; None: not asked for.
  """
  if isinstance(references, str):
    yield f"{references}\n"
  elif references is not None:
    yield (
      "p outside beside the reference, of the labels that noise left alone. "
      "The largest rank correlation is that of the reference with a score in "
      "its order without ties; AUROC is of low p outside for a reference "
      "below 0.5.\n"
    )
    yield tables.markdown([*_references(found, scored, references)])
  for one, row in zip(found, leaning or (), strict=False):
    yield from _leaning(one, row)


def runs(one: Ensemble) -> str:
  """Returns a sentence on how many runs there are, and of what.

  Args:
    one: the runs.
  """
  config = one.config
  return (
    f"{len(one.masks)} of {config['members'] * config['permutations']} runs of "
    f"{config['arch']} on {config['dataset']}, each on {config['ratio']:g} of "
    f"{len(one.ids):,} examples."
  )


def _references(
  found: Sequence[Ensemble],
  scored: Sequence[Scores],
  references: Sequence[np.ndarray],
) -> Iterator[dict[str, str]]:
  for one, score, other in zip(found, scored, references, strict=True):
    ours = np.where(one.changed, np.nan, score.p_out)
    agreed = agreement.compare(ours, other)
    yield {
      "level": f"{one.config['p']:g}",
      "examples": str(agreed.examples),
      **{
        title: _number(_known(getattr(agreed, name)))
        for name, title in (
          ("spearman", "rank correlation"),
          ("largest", "largest"),
          ("below_top", "below the top score"),
          ("auroc", "AUROC below 0.5"),
          ("overlap", f"overlap of the lowest {agreed.lowest:,}"),
        )
      },
    }


def _leaning(one: Ensemble, row: Mapping[str, Any]) -> Iterator[str]:
  level = f"Influence at level {one.config['p']:g}"
  missing = too_few(len(one.masks), one.config["ratio"])
  if missing is not None:
    yield f"{level}: {missing}\n"
  elif row["threshold"] is not None:
    yield (
      f"{level}: {len(row['pairs']):,} pairs of a train and a test example at "
      f"{row['threshold']:.3f} or more, {row['expected_false']:.1f} of them "
      "false by 20 permutations of runs. Of the test examples that lean most "
      "on theirs, how often each is right after training on all but its eight, "
      "and on all but eight at random:\n"
    )
    yield tables.markdown(
      [
        {
          "test example": line["test_id"],
          "without its eight": f"{float(line['without_top']):.2f}",
          "without eight at random": f"{float(line['without_random']):.2f}",
          "runs": line["runs"],
        }
        for line in row["causal"]
      ]
    )
  else:
    yield f"{level}: no pair is above the threshold.\n"


def _number(value: float | None) -> str:
  return "-" if value is None else f"{value:.3f}"


def _interval(line: Mapping[str, Any], name: str) -> str:
  low, high = line[f"{name}_low"], line[f"{name}_high"]
  return "-" if low is None else f"{low:.3f} to {high:.3f}"
