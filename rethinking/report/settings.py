"""What a run was, read off its config."""

from collections.abc import Mapping
from typing import Any

from rethinking.config.fields import flagged
from rethinking.models.registry import ARCHITECTURES


def settings(config: Mapping[str, Any]) -> dict[str, Any]:
  """What repetitions share: a config without seeds and idle fields.

  Args:
    config: resolved.

  Returns:
    A copy in which every way to say "no label noise" is the same, and none of
    the images are corrupted where nothing corrupts them.
  """
  kept = {k: v for k, v in config.items() if k not in flagged("unseen")}
  # 0.1 * 3 and 0.3 are the same level.
  kept["p"] = round(float(kept.get("p") or 0), 9)
  if not kept["p"] or kept.get("label_noise") is None:
    kept |= {"label_noise": None, "label_options": "", "p": 0.0, "exact": False}
  if kept.get("pixel_noise") is None:
    kept["fraction"] = 0.0
  return kept


def augmentation(settings: Mapping[str, Any]) -> str:
  """Names the augmentation; "none" where there is none.

  Args:
    settings: a config, whose `augment` is None, a preset or its ranges.
  """
  given = settings.get("augment")
  if isinstance(given, Mapping):
    given = {k: v for k, v in given.items() if v and v != "none"}
    if set(given) == {"preset"}:
      return given["preset"]
    return ", ".join(f"{k} {v}" for k, v in given.items()) or "none"
  return given or "none"


def regularisers(settings: Mapping[str, Any]) -> tuple[str, ...]:
  """Names the explicit regularisers of a run, with their coefficients.

  Args:
    settings: a config.
  """
  found = []
  for name, words in (("weight_decay", "weight decay"), ("l2", "L2")):
    if settings.get(name):
      found.append(f"{words} {settings[name]:g}")
  if augmentation(settings) != "none":
    found.append(f"augmentation {augmentation(settings)}")
  rate = settings.get("dropout")
  if rate:
    found.append(f"dropout {rate:g}")
  elif rate is None:
    # An architecture that a config file registered may not be there.
    row = ARCHITECTURES.get(settings["arch"])
    if row is not None and row.own_dropout:
      found.append("its own dropout")
  return tuple(found)


def value_text(settings: Mapping[str, Any], name: str) -> str:
  """One setting as text; an augmentation by its name."""
  if name == "augment":
    return augmentation(settings)
  return short(settings.get(name))


def short(value: Any) -> str:
  """A value of a setting as text."""
  return f"{value:g}" if isinstance(value, float) else str(value)
