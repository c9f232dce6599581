"""What there is to choose from, as `--help` lists it."""

import textwrap
from collections.abc import Mapping
from typing import Any

from rethinking.config import fields
from rethinking.config.experiments import EXPERIMENTS
from rethinking.config.figures import FIGURES
from rethinking.config.variants import VARIANTS
from rethinking.models.registry import ARCHITECTURES


def text() -> str:
  """Lists experiments, variants, architectures, data sets and fields."""
  # NumPy comes with it.
  from rethinking.data import registry

  variants = {
    name: ", ".join(f"{k}={v}" for k, v in sets.items()) or "nothing changed"
    for name, sets in VARIANTS.items()
  }
  data = {
    name: f"{'x'.join(map(str, spec.shape))}, {spec.num_classes} classes"
    + (", no download" if spec.reader else "")
    for name, spec in registry.SPECS.items()
  }
  data["own"] = "yours: give data=PATH, see configs/own.py"
  parts = [
    _section("Experiments (a variant sets its own)", _sentences(EXPERIMENTS)),
    _section("Variants (a config file may have more; it says which)", variants),
    _section("Sweeps (a config file has some of them)", _sentences(FIGURES)),
    _section("Architectures", _sentences(ARCHITECTURES)),
    _section("Data sets", data),
    "Fields (FIELD=VALUE after the variant, or --config.FIELD=VALUE):",
  ]
  for role, title in fields.ROLES.items():
    rows = {_assigned(r): r.sentence for r in fields.TABLE if r.role == role}
    parts.append(_section(title, rows))
  return "\n\n".join(parts)


def _sentences(rows: Mapping[str, Any]) -> dict[str, str]:
  return {name: row.sentence for name, row in rows.items()}


def _assigned(row: fields.Field) -> str:
  """A field with its default, as on the command line."""
  value = row.initial
  if value is None or isinstance(value, bool):
    value = str(value).lower()
  return f"{row.name}={'' if value == {} else value}"


def _section(title: str, sentences: Mapping[str, str]) -> str:
  width = max(24, *(len(name) + 2 for name in sentences))
  lines = [
    textwrap.fill(
      sentence,
      80,
      initial_indent=f"  {name:{width}}",
      subsequent_indent=" " * (width + 2),
    )
    for name, sentence in sentences.items()
  ]
  return "\n".join([f"{title}:", *lines])
