"""Values of a config that are refused."""

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from ml_collections import ConfigDict

from rethinking.config.fields import ENSEMBLE, TABLE, Field
from rethinking.config.variants import VARIANTS
from rethinking.runtime.allowed import Range, choose
from rethinking.runtime.errors import UserError


def ranges(c: ConfigDict, rows: Iterable[Field]) -> None:
  """Refuses every value that its row does not allow.

  Args:
    c: with every field filled in.
    rows: of a table of fields.

  Raises:
    UserError: naming the field, what was given and what is allowed.
  """
  for row in rows:
    value, optional = c[row.name], row.initial is None
    if row.allowed is None or (optional and value is None):
      continue
    if isinstance(row.allowed, Range):
      row.allowed.check(row.name, value, " or None" if optional else "")
    else:
      choose(row.name, value, row.allowed)


def kind(name: str, row: Field, value: Any) -> None:
  """Refuses a value that is not of its field's type.

  Args:
    name: what to call it.
    row: of the field.
    value: as given.

  Raises:
    UserError: naming the type that it must have, and the one that it has.
  """
  optional = isinstance(row.default, type)
  if optional and value is None:
    return
  wanted = row.default if optional else type(row.default)
  allowed = {float: (float, int), tuple: (tuple, list)}.get(wanted, wanted)
  # A bool is an int, but no number was meant.
  wrong = isinstance(value, bool) and wanted is not bool
  if wrong or not isinstance(value, allowed):
    raise UserError(
      f"{name} must be a value of type {wanted.__name__}"
      f"{' or None' if optional else ''}, got {value!r} of type "
      f"{type(value).__name__}; try one such as --config.{row.name} takes."
    )


def trouble(
  config: Mapping[str, Any], needed: Collection[str] = ()
) -> str | None:
  """Returns which value of a recorded config none could have, or None.

  Args:
    config: of a config.json or a row, by any version, perhaps damaged.
    needed: fields that it must have.
  """
  for name in needed:
    if config.get(name) is None:
      return f"it has no {name!r}"
  for row in TABLE:
    value = config.get(row.name)
    # Options were once a mapping.
    if value is None or (isinstance(value, Mapping) and row.name != "grids"):
      continue
    try:
      kind(row.name, row, value)
      if isinstance(row.allowed, Range):
        row.allowed.check(row.name, value)
      elif row.allowed is not None:
        choose(row.name, value, row.allowed)
    except UserError as error:
      return str(error).partition("; try")[0]
  return None


def check(c: ConfigDict) -> None:
  """Refuses every value outside its range, before any work.

  Args:
    c: of a training run, with every field filled in.

  Raises:
    UserError: naming the field, what was given and what is allowed.
  """
  # Imported here: --help need not wait for NumPy.
  from rethinking.data import presets
  from rethinking.models.registry import ARCHITECTURES

  presets.resolve(c.augment)
  ranges(c, TABLE)
  _meaning(c)
  unused(c)
  if c.p > 0 and c.label_noise is None:
    raise UserError(
      f"p must be 0 where label_noise is None, got {c.p}; try a variant with "
      "label noise (partial_labels) or label_noise=symmetric; how much pixel "
      "noise there is says level, such as level=0.5."
    )
  if c.pixel_noise is None and (c.fraction != 1 or c.level is not None):
    raise UserError(
      "fraction must be 1 and level None where pixel_noise is None, got "
      f"{c.fraction} and {c.level}; try a variant with pixel noise "
      "(random_pixels) or pixel_noise."
    )
  if c.l2 and c.l2_kernels == "conv" and ARCHITECTURES[c.arch].dense:
    raise UserError(
      "l2_kernels must be all where there are no convolutions, got conv with "
      f"recipe={c.recipe} and {c.arch}; try l2_kernels=all, or l2=0."
    )
  _ensemble(c)
  if max(c.el2n_epochs, default=0) > c.epochs:
    raise UserError(
      f"el2n_epochs must be at most epochs, {c.epochs}, got {c.el2n_epochs}; "
      "try '(1,)'."
    )
  if not c.validation and (c.schedule == "plateau" or c.early_stopping):
    raise UserError(
      "validation must be at least 1 where its loss is looked at, got 0 with "
      f"recipe={c.recipe}, schedule={c.schedule} and early_stopping="
      f"{c.early_stopping}; try a number of train examples, such as "
      "validation=5000."
    )


# What means something to a corruption alone, and which one names it.
OPTIONS = {
  row.name: f"{row.role.removesuffix('s')}_noise"
  for row in TABLE
  if "option" in row.flags.split()
}


def unused(c: ConfigDict) -> None:
  """Refuses options of a corruption that there is not.

  Args:
    c: of a run or of an experiment of the theory.

  Raises:
    UserError: naming the option.
  """
  for name, noise in OPTIONS.items():
    if c[noise] is None and c[name]:
      raise UserError(
        f"{name} must be left out where {noise} is None, got {c[name]!r}; try "
        f"a variant with noise, or {noise}."
      )


def _meaning(c: ConfigDict) -> None:
  """Refuses what would not be what its variant is called after."""
  own = dict(VARIANTS.get(c.variant, {}))
  # Which label noise, and how much of it in a part of them, is free.
  own.pop("label_noise", None)
  if c.variant == "partial_labels":
    own.pop("p")
  for name, value in own.items():
    if c[name] != value:
      raise UserError(
        f"{name} must be {value} in {c.variant}, got {c[name]}; try another "
        "variant, such as partial_labels,p=0.4."
      )


def _ensemble(c: ConfigDict) -> None:
  """Refuses half an ensemble, and what its runs could not be compared with."""
  if c.without and (c.member is not None or c.validation):
    raise UserError(
      "without must be empty in a run of an ensemble and beside validation, "
      f"got {c.without!r}; try it in a run of its own."
    )
  given = {name: c[name] for name in ENSEMBLE}
  if set(given.values()) == {None}:
    return
  if None in given.values():
    raise UserError(
      f"member, ratio, members and permutations must be given together, got "
      f"{given}; try members=10, permutations=10, ratio=0.7."
    )
  runs = c.members * c.permutations
  if c.member >= runs:
    raise UserError(
      f"member must be below members x permutations = {runs}, got {c.member}; "
      f"try {runs - 1}."
    )
  wanted = {"validation": 0, "early_stopping": 0, "stop_at_fit": False}
  other = {name: value for name, value in wanted.items() if c[name] != value}
  if c.schedule == "plateau":
    other["schedule"] = "cosine"
  if other:
    names = ", ".join(f"{name}={value}" for name, value in other.items())
    raise UserError(
      "validation and early_stopping must be 0, stop_at_fit false and schedule "
      "not plateau in a run of an ensemble, whose runs are compared at their "
      f"ends, got {c.validation}, {c.early_stopping}, {c.stop_at_fit} and "
      f"{c.schedule}; try {names}."
    )


def redraw(c: ConfigDict, corruptions: Iterable[Any]) -> None:
  """Refuses to draw anew what is drawn once, or what nothing would use.

  Args:
    c: of a training run, with every field filled in.
    corruptions: that it describes.

  Raises:
    UserError: naming what does not go with `redraw=epoch`.
  """
  if c.redraw == "never":
    return
  trouble = None
  if not corruptions:
    trouble = "nothing that is corrupted; try a corruption"
  for one in corruptions:
    if not one.redraws:
      trouble = f"{one!r}, drawn once for the whole set; try another"
  if c.corrupt_in == "load":
    trouble = "corrupt_in=load, which makes images once; try corrupt_in=step"
  if c.stop_at_fit:
    trouble = (
      "stop_at_fit, which waits for labels that are never the same; try "
      "stop_at_fit=false"
    )
  if trouble:
    raise UserError(
      f"redraw=epoch must have noise to draw in each step, got {trouble}, or "
      "redraw=never."
    )
