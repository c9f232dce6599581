"""The variants: conditions of a run, by name."""

from collections.abc import Mapping
from typing import Any

# What each variant sets; the same in every config file. `partial_labels`
# leaves p to the key of that name.
VARIANTS: dict[str, dict[str, Any]] = {
  "true_labels": {},
  "random_labels": {"label_noise": "uniform", "p": 1.0},
  "partial_labels": {"label_noise": "uniform", "p": 0.4},
  "shuffled_pixels": {"pixel_noise": "shuffled_pixels"},
  "random_pixels": {"pixel_noise": "random_pixels"},
  "gaussian_pixels": {"pixel_noise": "gaussian_pixels"},
}


def condition(settings: Mapping[str, Any]) -> str:
  """Names what was corrupted.

  Args:
    settings: a config's fields.

  Returns:
    One of the paper's conditions, else the corruptions' own names; with
    "partly" before it where some of the images are corrupted, and "redrawn"
    where each epoch draws anew.
  """
  labels, pixels = settings.get("label_noise"), settings.get("pixel_noise")
  if labels == "uniform":
    labels = "random_labels" if settings["p"] == 1 else "partial_labels"
  if pixels is not None and settings["fraction"] < 1:
    pixels = f"partly_{pixels}"
  name = "+".join(filter(None, (pixels, labels))) or "true_labels"
  return f"redrawn_{name}" if settings["redraw"] == "epoch" else name


def title(settings: Mapping[str, Any]) -> str:
  """Says in words what a run is: data, condition, architecture, seed.

  Args:
    settings: a config's fields, resolved.

  >>> title({"dataset": "mnist", "arch": "mlp_1x512", "seed": 0, "p": 0.4,
  ...        "label_noise": "uniform", "redraw": "never"})
  'mnist, partial labels (p = 0.4), mlp_1x512, seed 0'
  """
  words = condition(settings).replace("_", " ").replace("gauss", "Gauss")
  if settings.get("label_noise"):
    words += f" (p = {settings['p']:g})"
  arch, seed = settings["arch"], settings["seed"]
  return f"{settings['dataset']}, {words}, {arch}, seed {seed}"
