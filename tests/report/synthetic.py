"""Rows as a sweep writes them, from known curves."""

from __future__ import annotations

import json
import math

CONFIG = {
  "experiment": "train",
  "variant": "true_labels",
  "dataset": "digits",
  "subset": None,
  "label_noise": None,
  "p": 0.0,
  "exact": False,
  "label_options": "",
  "pixel_noise": None,
  "fraction": 1.0,
  "pixel_options": "",
  "redraw": "never",
  "arch": "digits_cnn",
  "dropout": None,
  "crop": 0,
  "augment": "none",
  "recipe": "paper",
  "batch_size": 128,
  "epochs": 60,
  "optimizer": "sgd",
  "learning_rate": 0.01,
  "schedule": "exponential",
  "decay": 0.95,
  "weight_decay": 0.0,
  "l2": 0.0,
  "data_dir": None,
}
_LOSS = math.log(10)


def row(
  *,
  figure: str = "figure1",
  seed: int = 0,
  p: float = 0.0,
  fit: int | None = 10,
  epochs: int = 60,
  test: float = 0.95,
  metrics: dict | None = None,
  **config,
) -> dict:
  """One finished run, whose train loss falls so that it fits at epoch `fit`.

  Args:
    figure: the sweep's variant.
    seed: of the run; all its seeds.
    p: level of uniform label noise; 0 for none.
    fit: the epoch of the first evaluation that fits; None for never.
    epochs: evaluations, one an epoch, of 11 steps each.
    test: final and best test accuracy, and that at the fit.
    metrics: that replace the row's own.
    **config: fields that differ from `CONFIG`.
  """
  full = CONFIG | {"p": p, "epochs": epochs, "seed": seed} | config
  full |= {f"{n}_seed": seed for n in ("corruption", "init", "order", "noise")}
  if p and "label_noise" not in config:
    full["label_noise"] = "uniform"
  speed = 4 / (fit or 3 * epochs)
  wobble = 1 + 0.05 * math.sin(seed + 1)
  curve = {"step": [11 * e for e in range(epochs + 1)]}
  curve["epoch"] = list(range(epochs + 1))
  curve["train_loss"] = [
    1.02 * _LOSS / (1 + math.exp(min(5 * (speed * wobble * e - 1.5), 50)))
    for e in range(epochs + 1)
  ]
  curve["train_accuracy"] = [
    1.0
    if fit is not None and e >= fit
    else min(0.999, 1 - 0.9 * loss / curve["train_loss"][0])
    for e, loss in enumerate(curve["train_loss"])
  ]
  curve["test_accuracy"] = [
    0.1 + (test - 0.1) * (1 - math.exp(-speed * e)) for e in range(epochs + 1)
  ]
  curve["train_accuracy_unchanged"] = curve["train_accuracy"]
  final = curve["train_accuracy"][-1]
  noisy = full["label_noise"] is not None
  found = {
    "cell": "-".join(
      str(full[n])
      for n in (
        "arch",
        "pixel_noise",
        "fraction",
        "redraw",
        "label_noise",
        "p",
        "seed",
        "augment",
        "weight_decay",
        "dataset",
      )
    ),
    "figure": figure,
    "status": "finished",
    "config": full,
    "train_loss": curve["train_loss"][-1],
    "train_accuracy": final,
    "train_accuracy_unchanged": final,
    "train_accuracy_changed": final if noisy else None,
    "changed_predicted_true": 1 - final if noisy else None,
    "test_loss": 1.0,
    "test_accuracy": test,
    "steps": 11 * epochs,
    "epoch": epochs,
    "steps_to_fit": None if fit is None else 11 * fit,
    "epochs_to_fit": fit,
    "steps_not_fit": 11 * (epochs if fit is None else fit - 1),
    "test_accuracy_at_fit": None if fit is None else test,
    "best_test_accuracy": test,
    "potential_gain": 0.0,
    "flip_rate": 0.9 * p,
    "fingerprint": "f" * 64,
    "seconds": 1.5,
    "device": "NVIDIA H100",
    "device_count": 1,
    "cpu_count": 16,
    "curve": curve,
  }
  return found | (metrics or {})


def diverged(**more) -> dict:
  """One run whose loss was not finite at step 7."""
  full = row(**more)
  return {n: full[n] for n in ("cell", "figure", "config")} | {
    "status": "diverged",
    "step": 7,
  }


def write(folder, rows) -> None:
  """Writes rows to the results.jsonl of a folder."""
  text = "".join(json.dumps(one) + "\n" for one in rows)
  (folder / "results.jsonl").write_text(text)
