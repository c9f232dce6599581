"""Values of a config that are refused."""

from __future__ import annotations

from typing import Any

from ml_collections import ConfigDict

from rethinking.errors import UserError

OPTIMIZERS = ("adam", "sgd")
SCHEDULES = ("cosine", "exponential", "constant", "plateau")
L2_KERNELS = ("all", "conv")
VALIDATION_LABELS = ("true", "given")
DTYPES = ("float32", "bfloat16")
NORMALIZATIONS = ("per_image", "global")


def choose(name: str, given: Any, allowed: Any) -> None:
  """Refuses what is not among the allowed.

  Args:
    name: of the field.
    given: its value.
    allowed: names.

  Raises:
    UserError: naming all that are allowed.
  """
  if given not in allowed:
    raise UserError(
      f"Unknown {name} {given!r}; choose one of {sorted(allowed)}."
    )


def check(c: ConfigDict) -> None:
  """Refuses every value outside its range, before any work.

  Args:
    c: with every field filled in.

  Raises:
    UserError: naming the field, what was given and what is allowed.
  """
  # Imported here: Flax costs a second that --help need not wait for.
  from rethinking import augment, data

  choose("dataset", c.dataset, data.NAMES)
  augment.create(c.augment)
  choose("normalization", c.normalization, NORMALIZATIONS)
  choose("optimizer", c.optimizer, OPTIMIZERS)
  choose("schedule", c.schedule, SCHEDULES)
  choose("dtype", c.dtype, DTYPES)
  choose("l2_kernels", c.l2_kernels, L2_KERNELS)
  choose("validation_labels", c.validation_labels, VALIDATION_LABELS)

  def within(name: str, ok: bool, allowed: str) -> None:
    if not ok:
      raise UserError(f"{name} is {c[name]}; it must be {allowed}.")

  within("p", 0 <= c.p <= 1, "a rate in [0, 1]")
  if c.p > 0 and c.label_noise is None:
    raise UserError(
      f"p is {c.p} but label_noise is None; choose a variant with label "
      "noise (partial_labels) or set label_noise."
    )
  for name in (
    "batch_size",
    "epochs",
    "eval_epochs",
    "eval_batch_size",
    "checkpoint_epochs",
  ):
    within(name, c[name] >= 1, "at least 1")
  for name in ("subset", "chunk_steps", "runs_at_once"):
    within(name, c[name] is None or c[name] >= 1, "at least 1, or None")
  within("learning_rate", c.learning_rate > 0, "above 0")
  for name in ("weight_decay", "l2", "crop", "validation", "early_stopping"):
    within(name, c[name] >= 0, "at least 0")
  within(
    "dropout",
    c.dropout is None or 0 <= c.dropout < 1,
    "a rate in [0, 1), or None for the model's own",
  )
  for name in ("decay", "fit_accuracy"):
    within(name, 0 < c[name] <= 1, "in (0, 1]")
  for name in (n for n in c if n.endswith("seed")):
    within(name, 0 <= c[name] < 2**32, "in [0, 2**32)")
  _recipe(c)


def _recipe(c: ConfigDict) -> None:
  """Refuses a recipe whose parts have nothing to work on."""
  from rethinking import models

  if c.l2 and c.l2_kernels == "conv" and models.ARCHITECTURES[c.arch].dense:
    raise UserError(
      f"recipe={c.recipe} puts L2 on convolutions alone (l2_kernels is conv), "
      f"and {c.arch} has none; give l2=0 or l2_kernels=all."
    )
  if not c.validation and (c.schedule == "plateau" or c.early_stopping):
    raise UserError(
      f"recipe={c.recipe} with schedule={c.schedule} and early_stopping="
      f"{c.early_stopping} looks at a validation loss, but validation is 0; "
      "give a number of train examples, such as validation=5000."
    )
