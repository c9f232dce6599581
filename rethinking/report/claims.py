"""The paper's claims, and whether measured rows support them."""

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from rethinking.config.fields import LABELS, PIXELS, flagged
from rethinking.models import ARCHITECTURES
from rethinking.report import published
from rethinking.report.published import DEVIATIONS, POINTS
from rethinking.report.rows import Group, Stat, text
from rethinking.report.series import rest
from rethinking.storage import tables

SUPPORTED, NOT, MISSING = "supported", "not supported", "not measured here"


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

  Returns:
    All claims; of runs on one's own data those that they bear on.
  """
  found = []
  own = {group.settings.get("dataset") for group in groups} == {"own"}
  for name, facts in published.load()["claims"].items():
    findings = tuple(_JUDGES[name](groups, facts))
    if not findings:
      if own:
        continue
      findings = (Finding("", MISSING, f"run `{facts['command']}`"),)
    rule = facts["supported_where"].format(
      **facts, tolerance=POINTS, deviations=DEVIATIONS
    )
    found.append(Claim(name, facts, rule, findings))
  return found


def table(claims: Sequence[Claim]) -> str:
  """The table of claims, and the rules that they were judged by."""
  lines = [
    {
      "claim": f"{claim.facts['claim']} [{n}]",
      "setting": finding.setting or "-",
      "verdict": finding.verdict,
      "numbers": finding.numbers,
    }
    for n, claim in enumerate(claims, 1)
    for finding in claim.findings
  ]
  rules = "".join(
    f"[{n}] Supported where {claim.rule}. Source: {claim.facts['source']}.\n\n"
    for n, claim in enumerate(claims, 1)
  )
  return tables.markdown(lines) + "\n" + rules


def _same(a: Group, b: Group, but: Sequence[str]) -> bool:
  """Whether two groups differ in the named fields at most."""
  return a.figure == b.figure and rest(a, but) == rest(b, but)


def _matched(
  groups: Sequence[Group], changed: str, but: Sequence[str]
) -> Iterator[tuple[Group, Group]]:
  """Runs on unchanged data with those under a condition, else the same."""
  for group in _of(groups, changed):
    for true in _of(groups, "true_labels"):
      if _same(group, true, but):
        yield true, group


def _of(groups: Sequence[Group], condition: str) -> list[Group]:
  return [group for group in groups if group.condition == condition]


def _train(group: Group) -> Stat:
  return published.percent(group.stat("train_accuracy"))


def _test(group: Group) -> Stat:
  return published.percent(group.stat("test_accuracy"))


_Groups = Sequence[Group]
_Facts = Mapping[str, Any]


def _error(a: Stat, b: Stat) -> float | None:
  """Standard error of a difference of means; None where a seed is alone."""
  if a.sd is None or b.sd is None:
    return None
  return math.sqrt(a.sd**2 / a.n + b.sd**2 / b.n)


def _finding(group: Group, ok: bool, numbers: str, *more: str) -> Finding:
  """What a group says, and what of its setting matters beside its name."""
  parts = [group.settings.get("dataset"), group.arch, *more]
  if group.settings.get("subset"):
    parts.append(f"{group.settings['subset']} examples")
  setting = ", ".join(map(str, parts))
  return Finding(setting, SUPPORTED if ok else NOT, numbers)


def _fits_random_labels(groups: _Groups, facts: _Facts) -> Iterator[Finding]:
  for true, random in _matched(groups, "random_labels", LABELS):
    if random.regularisers:
      continue
    a, b = _train(true), _train(random)
    numbers = f"train accuracy: true labels {text(a)}, random labels {text(b)}"
    yield _finding(random, min(a.mean, b.mean) >= facts["fitted"], numbers)


def _pairs(groups: Sequence[Group]) -> Iterator[tuple[Group, Group]]:
  """Runs on true labels, with fewer and with more regularisers."""
  clean = _of(groups, "true_labels")
  for more in clean:
    fewer = [
      one
      for one in clean
      if set(one.regularisers) < set(more.regularisers)
      and _same(one, more, flagged("regulariser"))
    ]
    if fewer:
      yield min(fewer, key=lambda one: len(one.regularisers)), more


def _added(base: Group, more: Group) -> str:
  """Which regularisers the second has beside those of the first."""
  new = (r for r in more.regularisers if r not in base.regularisers)
  both = f" beside {' + '.join(base.regularisers)}" if base.regularisers else ""
  return " + ".join(new) + both


def _regularisers_help(groups: _Groups, facts: _Facts) -> Iterator[Finding]:
  for base, more in _pairs(groups):
    a, b = _test(base), _test(more)
    error = _error(a, b)
    least = POINTS if error is None else DEVIATIONS * error
    gain = b.mean - a.mean
    numbers = (
      f"test accuracy: without {text(a)}, with {text(b)}; gain {gain:+.2f}, "
      f"needed {least:.2f}"
    )
    yield _finding(more, gain > least, numbers, _added(base, more))


def _regularisers_not_needed(
  groups: _Groups, facts: _Facts
) -> Iterator[Finding]:
  for base, more in _pairs(groups):
    if base.regularisers:
      continue
    a, b = _test(base), _test(more)
    chance = 100 * base.chance
    if b.mean <= chance:
      continue
    kept = 100 * (a.mean - chance) / (b.mean - chance)
    numbers = (
      f"test accuracy: without {text(a)}, with {text(b)}; without them "
      f"{kept:.0f} % of what lies above chance is kept"
    )
    yield _finding(more, kept >= facts["kept"], numbers, _added(base, more))


def _regularisers_do_not_prevent(
  groups: _Groups, facts: _Facts
) -> Iterator[Finding]:
  for group in _of(groups, "random_labels"):
    if group.regularisers and not _alexnet_decayed(group):
      yield _regularised(group, _train(group).mean >= facts["fitted"])


def _regularised(group: Group, ok: bool) -> Finding:
  """The finding of one group on random labels."""
  numbers = f"train accuracy on random labels {text(_train(group))}"
  return _finding(group, ok, numbers, " + ".join(group.regularisers))


def _alexnet_decayed(group: Group) -> bool:
  return published.matches({"arch": "alexnet", "weight_decay": True}, group)


def _alexnet_weight_decay(groups: _Groups, facts: _Facts) -> Iterator[Finding]:
  for group in _of(groups, "random_labels"):
    if _alexnet_decayed(group):
      yield _regularised(group, _train(group).mean < facts["fitted"])


def _batch_norm(groups: _Groups, facts: _Facts) -> Iterator[Finding]:
  for plain, normed in itertools.permutations(_of(groups, "true_labels"), 2):
    without = plain.arch == f"{normed.arch}_no_bn"
    if without and _same(plain, normed, ("arch",)):
      a, b = _test(plain), _test(normed)
      gain = b.mean - a.mean
      ok = facts["low"] - POINTS <= gain <= facts["high"] + POINTS
      numbers = (
        f"test accuracy: with {text(b)}, without {text(a)}; difference "
        f"{gain:+.2f}"
      )
      yield _finding(normed, ok, numbers, *normed.regularisers)


def _mlp_shuffled_pixels(groups: _Groups, facts: _Facts) -> Iterator[Finding]:
  for true, shuffled in _matched(groups, "shuffled_pixels", PIXELS):
    row = ARCHITECTURES.get(shuffled.arch)
    if row is None or not row.dense:
      continue
    a, b = _test(true), _test(shuffled)
    numbers = (
      f"test accuracy: true images {text(a)}, shuffled {text(b)}; "
      f"difference {b.mean - a.mean:+.2f}"
    )
    ok = abs(b.mean - a.mean) <= facts["points"]
    found = _finding(shuffled, ok, numbers, *shuffled.regularisers)
    if min(a.n, b.n) < facts["seeds"]:
      numbers += f"; {facts['seeds']} seeds are needed"
      found = found._replace(verdict=MISSING, numbers=numbers)
    yield found


# By claim: what yields its findings.
_JUDGES = {
  judge.__name__.removeprefix("_"): judge
  for judge in (
    _fits_random_labels,
    _regularisers_help,
    _regularisers_not_needed,
    _regularisers_do_not_prevent,
    _alexnet_weight_decay,
    _batch_norm,
    _mlp_shuffled_pixels,
  )
}
