"""The variants: conditions of a run, by name."""

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
