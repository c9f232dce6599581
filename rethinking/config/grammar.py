"""The variant grammar: "variant,key=value,..." on the command line."""

import pkgutil
import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from ml_collections import ConfigDict

from rethinking.config import experiments, fields, overrides, records
from rethinking.config.variants import VARIANTS
from rethinking.runtime.allowed import choose
from rethinking.runtime.errors import UserError


def create(
  text: str,
  settings: Mapping[str, Any],
  sweeps: Mapping[str, Mapping[str, Any]] = MappingProxyType({}),
) -> ConfigDict:
  """Returns the config of a config file's "variant,key=value,...".

  Args:
    text: the variant's name, then fields as key=value.
    settings: what the file sets in a training run, its `dataset` at least.
    sweeps: what its sweeps set beside, such as `grids`, by the figure's name.

  Returns:
    The config, locked: of a training run, a sweep or another experiment.

  Raises:
    UserError: for an unknown variant or key, or a value of the wrong type.
  """
  own = {n: e for n, e in experiments.EXPERIMENTS.items() if e.config}
  name = text.partition(",")[0].strip()
  if name in own:
    config = pkgutil.resolve_name(own[name].config)(name, settings["dataset"])
    return parse(config, text, {name: {}})
  config = fields.default()
  config.update(settings)
  drawn = {"experiment": "sweep", "plots": False, "tensorboard": False}
  sweeps = {name: {**drawn, **sets} for name, sets in sweeps.items()}
  return parse(config, text, {**VARIANTS, **sweeps, **dict.fromkeys(own, {})})


def parse(
  config: ConfigDict,
  text: str,
  variants: Mapping[str, Mapping[str, Any]] = VARIANTS,
) -> ConfigDict:
  """Applies "variant,key=value,..." to a config and locks it.

  Args:
    config: the dataset's defaults, from `default`.
    text: the variant's name, then any top-level fields as key=value.
    variants: what each variant sets.

  Returns:
    The same config, locked.

  Raises:
    UserError: for an unknown variant or key, or a value of the wrong type.
  """
  if cut := re.search(r"(\w+)=[^,]*[(\[{][^)\]},]*,", text):
    raise UserError(
      f"{cut[1]} must be given by a flag where its value has commas, got "
      f"{text[cut.start() :]!r}; try --config.{cut[1]}='...'."
    )
  variant, *pairs = [part.strip() for part in text.split(",")]
  if variant not in variants:
    variant = records.renamed({"variant": variant}, say=True)["variant"]
  choose("variant", variant, variants)
  # Only these may be none; the others always have a value.
  optional = {k for k in config if config[k] is None}
  optional |= {k for k, v in fields.default().items() if v is None}
  config.variant = variant
  config.update(variants[variant])
  nested = {k for k in config if isinstance(config[k], ConfigDict)}
  keys = sorted({*config} - nested - {"variant"})
  for pair in pairs:
    key, equals, value = pair.partition("=")
    choose("key", key, keys)
    if not equals:
      raise UserError(f"{key} must have a value, got none; try {key}=VALUE.")
    if value.lower() == "none" and key in optional:
      config[key] = None
    else:
      config[key] = _read(key, value, config.get_type(key))
  records.rename(config)
  overrides.check(config, [pair.partition("=")[0] for pair in pairs])
  return config.lock()


def _read(key: str, value: str, kind: type) -> Any:
  """One value of the variant grammar, in the field's type."""
  words = {"true": True, "false": False}
  try:
    return words[value.lower()] if kind is bool else kind(value)
  except (KeyError, ValueError):
    raise UserError(
      f"{key} must be of type {kind.__name__}, got {value!r}; try "
      f"{'true or false' if kind is bool else 1}."
    ) from None
