"""What an ensemble on subsets says of each example: tables and pictures.

Reference: Feldman, Zhang (2020), "What neural networks memorize and why".
"""

import contextlib
import io
from collections.abc import Iterator, Sequence

import numpy as np
from etils import epath
from ml_collections import ConfigDict

from rethinking import data
from rethinking.memorization.design import pack
from rethinking.memorization.influence import pairs, too_few
from rethinking.memorization.means import interval, means, resampled
from rethinking.memorization.scores import (
  Scores,
  forgetting,
  from_training,
  largest_standard_error,
  scores,
)
from rethinking.report import pictures
from rethinking.report.ensembles import Ensemble, read
from rethinking.report.pictures import Picture
from rethinking.report.rows import Group
from rethinking.runtime.errors import UserError
from rethinking.storage import files, plots, tables

# Of changed labels: without fitting there is nothing to memorise.
_FITTED = 0.8
_SHOWN = 10  # Images a row.
_WHO = ("label unchanged", "label changed")


def write(groups: Sequence[Group], workdir: epath.Path) -> list[str]:
  """Writes scores, tables and pictures of ensembles.

  Of each level `memorization/LEVEL/` has examples.csv, one line an example;
  masks.npz, `masks` as `memorization.design.pack` packs them and `ids`;
  pred_probs.npy, float32 [n, C], mean probabilities of the runs outside; and
  influence.csv where there are enough runs. memorization.md has the means, the
  pictures the decomposition by level, the scores' histogram and images.

  Args:
    groups: of the figure; runs whose files are gone are left out.
    workdir: of the sweep.

  Returns:
    The names of the files.
  """
  found = []
  for group in groups:
    for seed in dict.fromkeys(row["config"]["seed"] for row in group.rows):
      mine = [row for row in group.rows if row["config"]["seed"] == seed]
      found.append(read(mine, workdir / "cells"))
  found = [one for one in found if one is not None]
  if not found:
    return []
  scored = [
    scores(o.masks, o.correct, o.p, o.predicted, o.true, o.labels)
    for o in found
  ]
  written = ["memorization.md"]
  files.replace(
    workdir / "memorization.md", _page(found, scored).encode("utf-8")
  )
  for one, score in zip(found, scored, strict=True):
    folder = workdir / "memorization" / one.name
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in _level(one, score):
      files.replace(folder / name, content)
      written.append(f"memorization/{one.name}/{name}")
    for picture in _pictures(one, score):
      names = pictures.save(picture, folder, [_runs(one)])
      written += [f"memorization/{one.name}/{name}" for name in names]
  picture = _decomposition(found, scored)
  return written + pictures.save(picture, workdir, [_runs(found[0])])


def _level(one: Ensemble, score: Scores) -> Iterator[tuple[str, bytes]]:
  """The files of a level, name and content."""
  seen = one.seen
  aum, loss_mean = from_training(seen["times"], seen["loss"], seen["margin"])
  forgotten, never = forgetting(
    seen["times"], seen["correct"], seen["forgotten"]
  )
  columns = {
    "id": one.ids,
    "label": one.labels,
    "true_label": one.true,
    "changed": one.changed.astype(int),
    **score._asdict(),
    "forgetting": forgotten,
    "never_learned": never,
    "aum": aum,
    "loss_mean": loss_mean,
  }
  lines = zip(*(x.tolist() for x in columns.values()), strict=True)
  rows = [dict(zip(columns, line, strict=True)) for line in lines]
  yield "examples.csv", tables.csv_text(rows).encode()
  buffer = io.BytesIO()
  np.savez(buffer, masks=pack(one.masks), ids=one.ids)
  yield "masks.npz", buffer.getvalue()
  buffer = io.BytesIO()
  np.save(buffer, one.outside)
  yield "pred_probs.npy", buffer.getvalue()
  config = one.config
  if too_few(len(one.masks), config["ratio"]) is None:
    found = pairs(one.masks, one.tested, config["permutations"], config["seed"])
    rows = [
      {
        "train_id": one.ids[i].item(),
        "test_place": int(j),
        "influence": float(x),
      }
      for i, j, x in zip(found.train, found.test, found.influence, strict=True)
    ]
    yield "influence.csv", tables.csv_text(rows).encode()


def _parts(one: Ensemble) -> dict[str, np.ndarray]:
  """Which examples each group of them has."""
  parts = dict(zip(_WHO, (~one.changed, one.changed), strict=True))
  return {who: among for who, among in parts.items() if among.any()}


def _page(found: Sequence[Ensemble], scored: Sequence[Scores]) -> str:
  """memorization.md."""
  rows = []
  for one, score in zip(found, scored, strict=True):
    for who, among in _parts(one).items():
      mean = means(score, among)
      drawn = resampled(
        one.masks[:, among],
        one.correct[:, among],
        one.config["permutations"],
        one.config["seed"],
      )
      low, high = interval(drawn.difference)
      fitted = who == _WHO[0] or mean["acc_in"] >= _FITTED
      rows.append(
        {
          "level": f"{one.config['p']:g}",
          "examples": who if fitted else f"{who}, not fitted",
          "n": str(mean["examples"]),
          **{
            words: _number(mean[name])
            for name, words in (
              ("acc_in", "accuracy inside"),
              ("acc_out", "outside"),
              ("mem", "mem"),
            )
          },
          "mem, 95 %": f"{_number(low)} to {_number(high)}",
          **{
            words: _number(mean[name])
            for name, words in (
              ("p_in", "p inside"),
              ("p_out", "p outside"),
              ("mem_p", "mem_p"),
              ("heldout_true", "true class outside"),
            )
          },
        }
      )
  several = [
    text
    for text in (too_few(len(found[0].masks), found[0].config["ratio"]),)
    if text
  ]
  return "\n".join(
    [
      "# Memorisation\n",
      f"{_runs(found[0])} Accuracy is on the given label, of an example by the "
      "runs that trained on it (inside) and those that did not; mem is the "
      "difference (Feldman 2020), p the probability of the given label. The "
      "interval is a bootstrap over permutations. An example's own mem has a "
      "standard error of at most "
      f"{_error(found[0]):.3f}.\n",
      tables.markdown(rows),
      *(f"{text}\n" for text in several),
    ]
  )


def _error(one: Ensemble) -> float:
  return largest_standard_error(len(one.masks), one.config["ratio"])


def _number(value: float) -> str:
  return "-" if np.isnan(value) else f"{value:.3f}"


def _runs(one: Ensemble) -> str:
  config = one.config
  return (
    f"{len(one.masks)} of {config['members'] * config['permutations']} runs of "
    f"{config['arch']} on {config['dataset']}, each on {config['ratio']:g} of "
    f"{len(one.ids):,} examples."
  )


def _decomposition(
  found: Sequence[Ensemble], scored: Sequence[Scores]
) -> Picture:
  """Accuracy inside as what others teach and what is memorised, by level."""
  fig, axes = pictures.panels(2, 3.6, 3.6)
  for axis, who in zip(axes, _WHO, strict=True):
    bars = []
    for one, score in zip(found, scored, strict=True):
      among = _parts(one).get(who)
      if among is not None:
        bars.append((f"{one.config['p']:g}", means(score, among)))
    below = np.zeros(len(bars))
    for k, (words, height) in enumerate(
      (
        ("right without it (outside)", lambda m: m["acc_out"]),
        ("memorised (mem)", lambda m: m["mem"]),
        ("not fitted", lambda m: 1 - m["acc_in"]),
      )
    ):
      part = 100 * np.array([height(mean) for _, mean in bars])
      colour = "0.85" if k == 2 else plots.COLOURS[k]
      axis.bar(
        [name for name, _ in bars],
        part,
        bottom=below,
        color=colour,
        label=words,
      )
      below += part
    axis.set_title(who, fontsize=10)
    axis.set_xlabel("label-noise level p")
    axis.set_ylabel("share of given labels (%)")
  words = f"Learned or memorised, {found[0].config['dataset']}"
  pictures.legend(fig, axes[0], words, 3)
  return Picture("memorization", fig)


def _pictures(one: Ensemble, score: Scores) -> Iterator[Picture]:
  yield _histogram(one, score)
  # A report may be drawn where the data are not.
  with contextlib.suppress(UserError):
    yield _images(one, score)


def _histogram(one: Ensemble, score: Scores) -> Picture:
  """How many examples have which score."""
  fig, ((axis,),) = plots.figure(1, 1, (4.8, 3.4))
  edges = np.linspace(-1, 1, 41)
  for k, (who, among) in enumerate(_parts(one).items()):
    axis.hist(
      score.mem[among], edges, color=plots.COLOURS[k], alpha=0.6, label=who
    )
  axis.set_yscale("log")
  axis.set_xlabel("mem: accuracy inside less accuracy outside")
  axis.set_ylabel("examples")
  words = f"Memorisation scores, {one.config['dataset']}, p {one.config['p']:g}"
  pictures.legend(fig, axis, words, 2)
  return Picture("mem", fig)


def _images(one: Ensemble, score: Scores) -> Picture:
  """The most memorised examples with true labels, and the least."""
  config = one.config
  where = data.source(ConfigDict(config))
  whole = data.load(config["dataset"], "train", **where)
  place = {one: row for row, one in enumerate(whole.given_ids.tolist())}
  names = whole.class_names
  # Ties by id, so that the picture is always the same.
  order = np.argsort(-score.mem, kind="stable")
  kept = order[~np.isnan(score.mem[order])]
  fig, axes = plots.figure(2, _SHOWN, (1.05 * _SHOWN, 3.0))
  for axis in axes.flat:
    axis.set_axis_off()
  for row, chosen in zip(axes, (kept[:_SHOWN], kept[-_SHOWN:]), strict=True):
    for axis, i in zip(row, chosen, strict=False):
      image = whole.images[place[one.ids[i].item()]]
      axis.imshow(image.squeeze(), cmap="gray", vmin=0, vmax=255)
      given, true = names[one.labels[i]], names[one.true[i]]
      words = given if given == true else f"{given} ({true})"
      axis.set_title(f"{words}\n{score.mem[i]:.2f}", fontsize=7)
  fig.suptitle(
    "Most and least memorised: given label (and the true one), mem",
    fontsize=9,
  )
  return Picture("images", fig)
