"""The pictures of an ensemble on subsets."""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from ml_collections import ConfigDict

from rethinking import data
from rethinking.memorization.scores import Scores
from rethinking.report import pictures
from rethinking.report.ensembles import WHO, Ensemble
from rethinking.report.pictures import Picture
from rethinking.runtime.errors import UserError
from rethinking.storage import plots

_PARTS = {
  "right without it (outside)": plots.COLOURS[0],
  "memorised (mem)": plots.COLOURS[1],
  "not fitted": "0.85",
}
_SHOWN = 10  # Images a row.
_ROWS = 4  # Test images, each with what it leans on.
_LEANS = 8


def of_level(
  one: Ensemble,
  score: Scores,
  reference: np.ndarray | None,
  pairs: Sequence[Mapping[str, str]],
) -> Iterator[Picture]:
  """Draws what one level has.

  Args:
    one: the runs.
    score: theirs.
    reference: float [n], others' scores; None: there are none.
    pairs: rows of influence.csv, the strongest first.
  """
  yield _histogram(one, score)
  if reference is not None:
    yield _scatter(one, score, reference)
  # A report may be drawn where the data are not.
  with contextlib.suppress(UserError):
    yield _images(one, score)
    if pairs:
      yield _influence(one, pairs)


def decomposition(lines: Sequence[Mapping[str, Any]]) -> Picture:
  """Draws accuracy inside as what others teach and what is memorised, by level.

  Args:
    lines: of memorization.csv.
  """
  # Where every example lacks a side there is nothing to add up.
  lines = [x for x in lines if x["mem"] is not None]
  kinds = [who for who in WHO if any(x["examples"] == who for x in lines)]
  fig, axes = pictures.panels(len(kinds), 7.2 / max(len(kinds), 1.5), 3.6)
  for axis, who in zip(axes, kinds, strict=True):
    mine = [x for x in lines if x["examples"] == who]
    names = [f"{x['level']:g}" for x in mine]
    rows = [(x["acc_out"], x["mem"], 1 - x["acc_in"]) for x in mine]
    shares = 100 * np.array(rows).T
    for k, (words, colour) in enumerate(_PARTS.items()):
      below = shares[:k].sum(axis=0)
      axis.bar(names, shares[k], bottom=below, color=colour, label=words)
    axis.set_title(who, fontsize=10)
    axis.set_xlabel("label-noise level p")
    axis.set_ylabel("share of given labels (%)")
    axis.set_ylim(0, 100)
  words = f"Learned or memorised, {lines[0]['dataset']}"
  pictures.legend(fig, axes[0], words, 3)
  return Picture("memorization", fig)


def _histogram(one: Ensemble, score: Scores) -> Picture:
  """How many examples have which score."""
  fig, ((axis,),) = plots.figure(1, 1, (4.8, 3.4))
  edges = np.linspace(-1, 1, 41)
  for k, (who, among) in enumerate(one.parts().items()):
    axis.hist(
      score.mem[among], edges, color=plots.COLOURS[k], alpha=0.6, label=who
    )
  axis.set_yscale("log")
  axis.set_xlabel("mem: accuracy inside less accuracy outside")
  axis.set_ylabel("examples")
  words = f"Memorisation scores, {one.config['dataset']}, p {one.config['p']:g}"
  pictures.legend(fig, axis, words, 2)
  return Picture("mem", fig)


def _scatter(one: Ensemble, score: Scores, reference: np.ndarray) -> Picture:
  """Our p_out against others' scores, of the labels that noise left."""
  fig, ((axis,),) = plots.figure(1, 1, (4.2, 3.8))
  kept = ~one.changed
  axis.plot(
    reference[kept],
    score.p_out[kept],
    ".",
    color=plots.COLOURS[0],
    markersize=3,
    alpha=0.3,
    markeredgewidth=0,
    rasterized=True,
  )
  axis.set_xlabel("reference")
  axis.set_ylabel("p_out: probability of the label outside")
  fig.suptitle(f"{one.config['dataset']}, p {one.config['p']:g}", fontsize=10)
  return Picture("reference", fig)


def _load(one: Ensemble, split: str) -> data.Dataset:
  where = data.source(ConfigDict(one.config))
  return data.load(one.config["dataset"], split, **where)


def _places(ids: np.ndarray) -> dict[str, int]:
  """The row of each id, as tables have it."""
  return {str(one): row for row, one in enumerate(ids.tolist())}


def _show(axis: Any, image: np.ndarray, words: str) -> None:
  axis.imshow(image.squeeze(), cmap="gray", vmin=0, vmax=255)
  axis.set_title(words, fontsize=7)


def _label(one: Ensemble, names: Sequence[str], i: int) -> str:
  """The given label of a train example, and the true one if another."""
  given, true = names[one.labels[i]], names[one.true[i]]
  return given if given == true else f"{given} ({true})"


def _grid(rows: int, columns: int) -> tuple[Any, np.ndarray]:
  fig, axes = plots.figure(rows, columns, (1.05 * columns, 1.5 * rows))
  for axis in axes.flat:
    axis.set_axis_off()
  return fig, axes


def _images(one: Ensemble, score: Scores) -> Picture:
  """The most memorised examples with true labels, and the least."""
  whole = _load(one, "train")
  place = _places(whole.given_ids)
  # Ties by id, so that the picture is always the same.
  order = np.argsort(-score.mem, kind="stable")
  kept = order[~np.isnan(score.mem[order])]
  fig, axes = _grid(2, _SHOWN)
  for row, chosen in zip(axes, (kept[:_SHOWN], kept[-_SHOWN:]), strict=True):
    for axis, i in zip(row, chosen, strict=False):
      words = _label(one, whole.class_names, i)
      image = whole.images[place[str(one.ids[i])]]
      _show(axis, image, f"{words}\n{score.mem[i]:.2f}")
  fig.suptitle(
    "Most and least memorised: given label (and the true one), mem",
    fontsize=9,
  )
  return Picture("images", fig)


def _influence(one: Ensemble, pairs: Sequence[Mapping[str, str]]) -> Picture:
  """Test images that lean most on their pairs, beside these train images."""
  leans: dict[str, list[tuple[str, float]]] = {}
  for row in pairs:
    mine = leans.setdefault(row["test_id"], [])
    mine.append((row["train_id"], float(row["influence"])))
  train, test = (_load(one, split) for split in ("train", "test"))
  of_train, of_test = _places(train.given_ids), _places(test.given_ids)
  own = _places(one.ids)
  tests = sorted(leans, key=lambda i: (-sum(x for _, x in leans[i]), i))
  tests = tests[:_ROWS]
  fig, axes = _grid(len(tests), 1 + max(len(leans[i][:_LEANS]) for i in tests))
  for row, i in zip(axes, tests, strict=True):
    at = of_test[i]
    _show(row[0], test.images[at], f"test\n{test.class_names[test.labels[at]]}")
    for axis, (j, value) in zip(row[1:], leans[i], strict=False):
      words = _label(one, train.class_names, own[j])
      _show(axis, train.images[of_train[j]], f"{words}\n{value:+.2f}")
  fig.suptitle("Test images, and train images they lean on", fontsize=9)
  return Picture("influence", fig)
