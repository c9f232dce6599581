"""Tables of what was published, and of what became of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rethinking import tables
from rethinking.report import published
from rethinking.report.claims import Claim
from rethinking.report.published import Comparison
from rethinking.report.rows import spread


def beside(comparisons: Sequence[Comparison]) -> str:
  """The table of published and measured numbers."""
  notes = list(dict.fromkeys(c.entry["source"] for c in comparisons))
  lines = [
    {
      "where": f"{c.entry['figure']} [{notes.index(c.entry['source']) + 1}]",
      "setting": _setting(c.entry["match"]),
      "quantity": c.quantity.replace("_", " "),
      "published": _published(c.published),
      "measured": "-"
      if c.group is None
      else f"{spread(c.measured)} (n = {c.measured.n})",
      "difference": "-" if c.difference is None else f"{c.difference:+.2f}",
      "verdict": c.verdict,
      "remarks": "; ".join(c.remarks),
    }
    for c in comparisons
  ]
  return (
    f"Accuracies in percent. {published.RULE}\n\n"
    + tables.markdown(lines)
    + "\n"
    + "".join(f"[{n}] {source}\n\n" for n, source in enumerate(notes, 1))
  )


def _setting(wanted: Mapping[str, Any]) -> str:
  """An entry's settings in words."""
  words = [wanted["dataset"], wanted["arch"]]
  if "condition" in wanted:
    words.append(wanted["condition"].replace("_", " "))
  if "p" in wanted:
    words.append(f"p = {wanted['p']:g}")
  if wanted.get("augmentation", "none") != "none":
    words.append(f"augmentation {wanted['augmentation']}")
  if wanted.get("weight_decay"):
    words.append("weight decay")
  return ", ".join(words)


def _published(value: Any) -> str:
  if isinstance(value, str):
    return value
  if isinstance(value, list):
    return " to ".join(f"{v:g}" for v in value)
  return f"{value:.2f}"


def claims_table(claims: Sequence[Claim]) -> str:
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


def published_csv(comparisons: Sequence[Comparison]) -> str:
  """Returns published.csv: what `beside` shows, in full precision."""
  return tables.csv_text(
    [
      {
        "figure": c.entry["figure"],
        "setting": _setting(c.entry["match"]),
        "quantity": c.quantity,
        "published": _published(c.published),
        "measured_mean": c.measured.mean,
        "measured_sd": c.measured.sd,
        "n": c.measured.n,
        "difference": c.difference,
        "verdict": c.verdict,
        "remarks": "; ".join(c.remarks),
        "source": c.entry["source"],
      }
      for c in comparisons
    ]
  )
