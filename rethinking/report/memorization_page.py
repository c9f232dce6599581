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


def page(
  found: Sequence[Ensemble],
  scored: Sequence[Scores],
  references: Sequence[np.ndarray] | str | None,
  leaning: Sequence[Mapping[str, Any]] | None,
) -> str:
  """Returns memorization.md.

  Args:
    found: ensembles, a level each.
    scored: theirs.
    references: others' scores, float [n] a level; what is wrong with their
      file; None: none are asked for.
    leaning: what each level's folder says of influence: `pairs` and `causal`,
      rows of those files, `threshold` and `expected_false`, None where there
      is none; None: not asked for.
  """
  parts = [
    "# Memorisation\n",
    f"{runs(found[0])} Accuracy is on the given label, of an example by the "
    "runs that trained on it (inside) and those that did not, examples "
    "counting equally; mem is the difference (Feldman 2020), p the probability "
    "of the given label. Pooled accuracy is over all pairs of a run and an "
    "example inside. Intervals are bootstraps over permutations, those of "
    "differences between levels with the same permutations in both.\n",
    tables.markdown([*_means(found, scored)]),
    "Halves: the rank correlation of p outside between the even and the odd "
    "permutations. The standard error is the largest that an example's mem can "
    "have, 1 / (2 sqrt(K r (1 - r))), where both shares are 1/2.\n",
    tables.markdown([*_levels(found, scored)]),
  ]
  if isinstance(references, str):
    parts.append(f"{references}\n")
  elif references is not None:
    parts += [
      "p outside beside the reference, of the labels that noise left alone. "
      "The largest rank correlation is that of the reference with a score in "
      "its order without ties; AUROC is of low p outside for a reference "
      "below 0.5.\n",
      tables.markdown([*_references(found, scored, references)]),
    ]
  for one, row in zip(found, leaning or (), strict=False):
    parts += _leaning(one, row)
  return "\n".join(parts)


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


def _means(
  found: Sequence[Ensemble], scored: Sequence[Scores]
) -> Iterator[dict[str, str]]:
  before: dict[str, tuple[Any, Resampled]] = {}
  for one, score in zip(found, scored, strict=True):
    for who, among in one.parts().items():
      mean = means(score, among)
      about = (one.permutations, one.config["seed"])
      drawn = resampled(one.masks[:, among], one.correct[:, among], *about)
      # Permutations drawn alike are pairs.
      last, before[who] = before.get(who), (about, drawn)
      change = np.array([np.nan])
      if last is not None and last[0] == about:
        change = drawn.difference - last[1].difference
      fitted = who == WHO[0] or mean["acc_in"] >= _FITTED
      yield {
        "level": f"{one.config['p']:g}",
        "examples": who if fitted else f"{who}, not fitted",
        "n": str(mean["examples"]),
        **_numbers(
          mean, acc_in="accuracy inside", acc_out="outside", mem="mem"
        ),
        "mem, 95 %": _interval(drawn.difference),
        "less the level before, 95 %": _interval(change),
        **_numbers(
          mean,
          pooled_acc_in="pooled accuracy",
          p_in="p inside",
          p_out="p outside",
          mem_p="mem_p",
          heldout_true="true class outside",
        ),
      }


def _levels(
  found: Sequence[Ensemble], scored: Sequence[Scores]
) -> Iterator[dict[str, str]]:
  for one, score in zip(found, scored, strict=True):
    config, count = one.config, len(one.masks)
    yield {
      "level": f"{config['p']:g}",
      "runs": str(count),
      "standard error": f"{largest_standard_error(count, config['ratio']):.3f}",
      "halves": _number(agreement.halves(one.masks, one.p, one.permutations)),
      "without a side": str(np.count_nonzero(np.isnan(score.mem))),
    }


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
      **_numbers(
        agreed._asdict(),
        spearman="rank correlation",
        largest="largest",
        below_top="below the top score",
        auroc="AUROC below 0.5",
        overlap=f"overlap of the lowest {agreed.lowest:,}",
      ),
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


def _numbers(values: Mapping[str, float], **titles: str) -> dict[str, str]:
  return {title: _number(values[name]) for name, title in titles.items()}


def _number(value: float) -> str:
  return "-" if np.isnan(value) else f"{value:.3f}"


def _interval(draws: np.ndarray) -> str:
  low, high = interval(draws)
  return "-" if np.isnan(low) else f"{low:.3f} to {high:.3f}"
