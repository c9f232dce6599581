"""The paper's claims, and whether measured rows support them."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from rethinking.models import ARCHITECTURES
from rethinking.report import published
from rethinking.report.published import DEVIATIONS, POINTS
from rethinking.report.rows import Group, Stat
from rethinking.report.settings import LABEL_FIELDS

_DENSE = {k for k, row in ARCHITECTURES.items() if row.dense}

SUPPORTED, NOT, MISSING = "supported", "not supported", "not measured here"

# Fields that a regulariser sets; random cropping takes the fixed crop's place.
_REGULARISER_FIELDS = ("weight_decay", "l2", "augment", "dropout", "crop")


class Finding(NamedTuple):
  """What some rows say of a claim.

  Attributes:
    setting: which rows: data set, architecture, what was varied.
    verdict: supported, not supported or not measured here.
    numbers: that the verdict was made of.
  """

  setting: str
  verdict: str
  numbers: str


class Claim(NamedTuple):
  """A claim and its findings, at least one.

  Attributes:
    name: its key in published.json.
    facts: what published.json says of it.
    rule: what makes a finding "supported".
    findings: one for each setting.
  """

  name: str
  facts: Mapping[str, Any]
  rule: str
  findings: tuple[Finding, ...]


def check(groups: Sequence[Group]) -> list[Claim]:
  """Checks each claim on all rows that bear on it.

  Args:
    groups: of any figures; runs are compared within one figure only.
  """
  found = []
  for name, facts in published.load()["claims"].items():
    judge, rule = _CHECKS[name]
    findings = tuple(judge(groups, facts)) or (
      Finding("", MISSING, f"run `{facts['command']}`"),
    )
    found.append(Claim(name, facts, rule.format(**facts), findings))
  return found


def _same(a: Group, b: Group, but: Sequence[str]) -> bool:
  """Whether two groups differ in the named fields at most."""

  def rest(group):
    kept = {k: v for k, v in group.settings.items() if k not in but}
    return json.dumps(kept, sort_keys=True)

  return a.figure == b.figure and rest(a) == rest(b)


def _of(groups: Sequence[Group], condition: str) -> list[Group]:
  return [group for group in groups if group.condition == condition]


def _where(group: Group, *more: str) -> str:
  parts = [group.settings.get("dataset"), group.arch, *more]
  if group.settings.get("subset"):
    parts.append(f"{group.settings['subset']} examples")
  return ", ".join(str(part) for part in parts)


def _train(group: Group) -> Stat:
  return published.percent(group.stat("train_accuracy"))


def _test(group: Group) -> Stat:
  return published.percent(group.stat("test_accuracy"))


def text(stat: Stat) -> str:
  """A mean with its deviation and count."""
  if stat.mean is None:
    return "-"
  if stat.sd is None:
    return f"{stat.mean:.2f} (n = {stat.n})"
  return f"{stat.mean:.2f} ± {stat.sd:.2f} (n = {stat.n})"


def _error(a: Stat, b: Stat) -> float | None:
  """Standard error of a difference of means; None where a seed is alone."""
  if a.sd is None or b.sd is None:
    return None
  return math.sqrt(a.sd**2 / a.n + b.sd**2 / b.n)


def _verdict(ok: bool) -> str:
  return SUPPORTED if ok else NOT


def _fits_random_labels(
  groups: Sequence[Group], facts: Mapping[str, Any]
) -> Iterator[Finding]:
  for random in _of(groups, "random_labels"):
    for true in _of(groups, "true_labels"):
      if random.regularisers or not _same(random, true, LABEL_FIELDS):
        continue
      a, b = _train(true), _train(random)
      yield Finding(
        _where(random),
        _verdict(min(a.mean, b.mean) >= facts["fitted"]),
        f"train accuracy: true labels {text(a)}, random labels {text(b)}",
      )


def _pairs(groups: Sequence[Group]) -> Iterator[tuple[Group, Group]]:
  """Runs on true labels, with fewer and with more regularisers."""
  clean = _of(groups, "true_labels")
  for more in clean:
    fewer = [
      one
      for one in clean
      if set(one.regularisers) < set(more.regularisers)
      and _same(one, more, _REGULARISER_FIELDS)
    ]
    if fewer:
      yield min(fewer, key=lambda one: len(one.regularisers)), more


def _added(base: Group, more: Group) -> str:
  return " + ".join(r for r in more.regularisers if r not in base.regularisers)


def _regularisers_help(
  groups: Sequence[Group], facts: Mapping[str, Any]
) -> Iterator[Finding]:
  for base, more in _pairs(groups):
    a, b = _test(base), _test(more)
    error = _error(a, b)
    least = POINTS if error is None else DEVIATIONS * error
    yield Finding(
      _where(more, _added(base, more)),
      _verdict(b.mean - a.mean > least),
      f"test accuracy: without {text(a)}, with {text(b)}; gain "
      f"{b.mean - a.mean:+.2f}, needed {least:.2f}",
    )


def _regularisers_not_needed(
  groups: Sequence[Group], facts: Mapping[str, Any]
) -> Iterator[Finding]:
  for base, more in _pairs(groups):
    if base.regularisers:
      continue
    a, b = _test(base), _test(more)
    chance = 100 * base.chance
    if b.mean <= chance:
      continue
    kept = 100 * (a.mean - chance) / (b.mean - chance)
    yield Finding(
      _where(more, _added(base, more)),
      _verdict(kept >= facts["kept"]),
      f"test accuracy: without {text(a)}, with {text(b)}; without them "
      f"{kept:.0f} % of what lies above chance is kept",
    )


def _regularisers_do_not_prevent(
  groups: Sequence[Group], facts: Mapping[str, Any]
) -> Iterator[Finding]:
  for group in _of(groups, "random_labels"):
    if group.regularisers and not _alexnet_decayed(group):
      yield Finding(
        _where(group, " + ".join(group.regularisers)),
        _verdict(_train(group).mean >= facts["fitted"]),
        f"train accuracy on random labels {text(_train(group))}",
      )


def _alexnet_decayed(group: Group) -> bool:
  return group.arch == "alexnet" and published.matches(
    {"weight_decay": True}, group
  )


def _alexnet_weight_decay(
  groups: Sequence[Group], facts: Mapping[str, Any]
) -> Iterator[Finding]:
  for group in _of(groups, "random_labels"):
    if _alexnet_decayed(group):
      yield Finding(
        _where(group, " + ".join(group.regularisers)),
        _verdict(_train(group).mean < facts["fitted"]),
        f"train accuracy on random labels {text(_train(group))}",
      )


def _batch_norm(
  groups: Sequence[Group], facts: Mapping[str, Any]
) -> Iterator[Finding]:
  clean = _of(groups, "true_labels")
  for plain in clean:
    for normed in clean:
      if plain.arch != f"{normed.arch}_no_bn" or not _same(
        plain, normed, ("arch",)
      ):
        continue
      a, b = _test(plain), _test(normed)
      gain = b.mean - a.mean
      yield Finding(
        _where(normed, *normed.regularisers),
        _verdict(facts["low"] - POINTS <= gain <= facts["high"] + POINTS),
        f"test accuracy: with {text(b)}, without {text(a)}; difference "
        f"{gain:+.2f}",
      )


def _mlp_shuffled_pixels(
  groups: Sequence[Group], facts: Mapping[str, Any]
) -> Iterator[Finding]:
  for shuffled in _of(groups, "shuffled_pixels"):
    for true in _of(groups, "true_labels"):
      fields = ("pixel_noise", "pixel_options")
      if shuffled.arch not in _DENSE or not _same(shuffled, true, fields):
        continue
      a, b = _test(true), _test(shuffled)
      numbers = (
        f"test accuracy: true images {text(a)}, shuffled {text(b)}; "
        f"difference {b.mean - a.mean:+.2f}"
      )
      if min(a.n, b.n) < facts["seeds"]:
        verdict = MISSING
        numbers += f"; {facts['seeds']} seeds are needed"
      else:
        verdict = _verdict(abs(b.mean - a.mean) <= facts["points"])
      yield Finding(_where(shuffled, *shuffled.regularisers), verdict, numbers)


_Judge = Callable[[Sequence[Group], Mapping[str, Any]], Iterator[Finding]]

_CHECKS: dict[str, tuple[_Judge, str]] = {
  "fits_random_labels": (
    _fits_random_labels,
    "with one and the same recipe and no explicit regulariser, mean final "
    "train accuracy is at least {fitted:g} % on true and on random labels",
  ),
  "regularisers_help": (
    _regularisers_help,
    f"the gain in mean final test accuracy exceeds {DEVIATIONS:g} standard "
    f"errors (one seed: {POINTS:g} points)",
  ),
  "regularisers_not_needed": (
    _regularisers_not_needed,
    "without any, at least {kept:g} % of the mean final test accuracy above "
    "chance is kept",
  ),
  "regularisers_do_not_prevent": (
    _regularisers_do_not_prevent,
    "mean final train accuracy on random labels is at least {fitted:g} % with "
    "them (AlexNet with weight decay has a claim of its own)",
  ),
  "alexnet_weight_decay": (
    _alexnet_weight_decay,
    "mean final train accuracy on random labels is below {fitted:g} %, for "
    "each coefficient",
  ),
  "batch_norm": (
    _batch_norm,
    "the difference of mean final test accuracies on true labels is "
    "{low:g} to {high:g} points, "
    f"give or take {POINTS:g}",
  ),
  "mlp_shuffled_pixels": (
    _mlp_shuffled_pixels,
    "mean final test accuracies differ by at most {points:g} point",
  ),
}
