"""What a run is: every field of a config, its variants, and their checks.

A config file's `get_config("variant,key=value,...")` starts from `default()`,
sets what its dataset needs and ends in `parse`. Fields that are None mean
"the recipe's own"; `resolve` fills them after command-line overrides, so that
`--config.arch=alexnet` or `--config.recipe=paper` change what they imply.
"""

from __future__ import annotations

import ast
import json
from collections.abc import Mapping
from typing import Any

from ml_collections import ConfigDict
from ml_collections.config_dict import placeholder

from rethinking import checks, recipes
from rethinking import corruptions as corruptions_lib
from rethinking.errors import UserError

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

_SEED_FIELDS = (
  "seed",
  "corruption_seed",
  "init_seed",
  "order_seed",
  "noise_seed",
  "validation_seed",
)

# Fields that say where and how fast a run happens, not what is computed: a
# resume may change them.
PLACE_FIELDS = ("data_dir", "data_cache", "compilation_cache", "runs_at_once")


def default() -> ConfigDict:
  """Returns the fields of a training run, each with its unit and default."""
  c = ConfigDict()
  c.experiment = "train"  # What main runs: train or sweep.
  c.variant = "true_labels"  # The condition's name, for titles and folders.

  # A sweep's.
  c.grids = ConfigDict()  # Name -> axis -> values; see rethinking.cells.
  c.only = placeholder(str)  # The cells whose names contain this; None: all.
  c.runs_at_once = placeholder(int)  # Runs in one program; None: by platform.

  # Data.
  c.dataset = "cifar10"  # A name of rethinking.data.NAMES.
  c.data_dir = placeholder(str)  # Prepared TFDS data; None: TFDS_DATA_DIR.
  c.data_cache = True  # Keep decoded arrays in the user's cache folder.
  c.subset = placeholder(int)  # Train on the n lowest ids; None: all.

  # Corruption: drawn once from corruption_seed, the same in every epoch, never
  # on test labels.
  c.label_noise = placeholder(str)  # A label corruption's name; None: none.
  c.p = 0.0  # The label corruption's level, in [0, 1].
  c.exact = False  # Corrupt exactly round(p n) labels, not n coins.
  c.label_options = ""  # Its other options, such as "map=cifar10".
  c.pixel_noise = placeholder(str)  # An image corruption's name; None: none.
  c.pixel_options = ""  # Its options, such as "fraction=0.5 exact=True".

  # What the model sees.
  c.augment = "none"  # A name of rethinking.augment.PRESETS.
  c.normalization = "per_image"  # Or global: by the train images' channels.

  # Model.
  c.arch = "inception"  # A name of rethinking.models.ARCHITECTURES.
  c.dropout = placeholder(float)  # Every rate, in [0, 1); None: the model's.
  c.dtype = "float32"  # Of activations: float32 or bfloat16.
  c.crop = placeholder(int)  # Centre crop, pixels a side; 0: whole image.

  # Optimisation. None: the recipe's own.
  c.recipe = "adam_cosine"  # A name of rethinking.recipes.RECIPES.
  # Examples a step, over all devices. Always full: what is left of an epoch
  # is carried over into the next one's first batch.
  c.batch_size = 128
  c.epochs = 30  # Passes over the train set.
  c.optimizer = placeholder(str)  # adam or sgd (momentum 0.9).
  c.learning_rate = placeholder(float)  # At the start of the schedule.
  # cosine (to 0), exponential, constant, or plateau: halved after 10
  # evaluations without a better validation loss, down to 1e-5.
  c.schedule = placeholder(str)
  c.decay = 0.95  # The exponential schedule's factor an epoch, in (0, 1].
  c.weight_decay = 0.0  # Decoupled (AdamW): w -= learning_rate * this * w.
  c.l2 = placeholder(float)  # In the loss: l2/2 * the kernels' sum of squares.
  c.l2_kernels = placeholder(str)  # Whose: all, or conv for convolutions alone.
  # End after this many epochs without a better validation loss and take the
  # best weights, however the run ended; 0: neither.
  c.early_stopping = placeholder(int)

  # Evaluation and stopping.
  c.eval_epochs = 1  # Epochs between evaluations.
  c.eval_batch_size = 1000  # Examples a dispatch; changes no number.
  c.fit_accuracy = 1.0  # Train accuracy that counts as fitted, in (0, 1].
  c.stop_at_fit = False  # End the run at the first evaluation that fits.
  # Train examples kept apart, drawn before corruption; 0: none.
  c.validation = 0
  c.validation_labels = "true"  # Or given: corrupted as the train labels are.
  c.per_example = False  # Write each example's loss and prediction, by id.

  # Keeping. None: ten checkpoints in a run.
  c.checkpoint_epochs = placeholder(int)  # Epochs between checkpoints.
  c.tensorboard = True  # Write event files.
  c.plots = True  # Draw curves.png.

  # Seeds. None: the same as seed.
  c.seed = 0  # The one to change for another repetition.
  c.corruption_seed = placeholder(int)  # Which labels and pixels are changed.
  c.init_seed = placeholder(int)  # The weights' first values.
  c.order_seed = placeholder(int)  # The order of the examples.
  c.noise_seed = placeholder(int)  # Dropout and augmentation.
  c.validation_seed = placeholder(int)  # Which examples are kept apart.

  # Execution.
  # Most steps a dispatch; a signal is heard where one ends. None: on a CPU 1
  # with convolutions and what 4,096 examples take without, an epoch elsewhere,
  # 100 where runs train together.
  c.chunk_steps = placeholder(int)
  c.deterministic = False  # Bit-exact on a GPU too, at some speed.
  c.compilation_cache = True  # Keep compiled programs in the user's cache.
  return c


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
  variant, *pairs = [part.strip() for part in text.split(",")]
  if variant not in variants:
    raise UserError(
      f"Unknown variant {variant!r}; choose one of {sorted(variants)}."
    )
  # Only these may be none; the others always have a value.
  optional = {k for k in config if config[k] is None}
  optional |= {k for k, v in default().items() if v is None}
  config.variant = variant
  config.update(variants[variant])
  keys = sorted(k for k in config if k != "variant" and not _is_dict(config, k))
  for pair in pairs:
    key, equals, value = pair.partition("=")
    if not equals or key not in keys:
      raise UserError(
        f"Unknown key {pair!r}; write key=value with a key of {keys}."
      )
    if value.lower() == "none" and key in optional:
      config[key] = None
    else:
      config[key] = _read(key, value, config.get_type(key))
  return config.lock()


def _is_dict(config: ConfigDict, key: str) -> bool:
  return isinstance(config[key], ConfigDict)


def _read(key: str, value: str, kind: type) -> Any:
  """One value of the variant grammar, in the field's type."""
  words = {"true": True, "false": False}
  try:
    return words[value.lower()] if kind is bool else kind(value)
  except (KeyError, ValueError):
    raise UserError(
      f"{key}={value} is not a value of type {kind.__name__}; give "
      f"{'true or false' if kind is bool else 'one'}."
    ) from None


def resolve(config: ConfigDict) -> ConfigDict:
  """Fills the recipe's own values into the fields left None, and checks all.

  Args:
    config: from a config file, with its overrides.

  Returns:
    A locked copy that describes the run completely, whatever the defaults of
    later versions.

  Raises:
    UserError: for a value outside its range, naming the field, what was given
      and what is allowed.
  """
  from rethinking import data, models

  c = ConfigDict(config.to_dict())
  missing = sorted(set(default()) - set(c))
  if missing:
    raise UserError(
      f"The config lacks the fields {missing}; begin with "
      "rethinking.config.default()."
    )
  checks.choose("recipe", c.recipe, recipes.RECIPES)
  checks.choose("arch", c.arch, models.ARCHITECTURES)
  checks.choose("dataset", c.dataset, data.NAMES)
  for name, value in recipes.fields(c.recipe, c.arch).items():
    if c[name] is None:
      c[name] = value
  if c.crop is None:
    height, width, _ = data.SPECS[c.dataset].shape
    c.crop = models.ARCHITECTURES[c.arch].crop_of(height, width)
  if c.checkpoint_epochs is None:
    c.checkpoint_epochs = max(1, c.epochs // 10)
  for name in _SEED_FIELDS[1:]:
    if c[name] is None:
      c[name] = c.seed
  checks.check(c)
  corruptions(c)
  return c.lock()


def corruptions(config: ConfigDict) -> tuple[corruptions_lib.Corruption, ...]:
  """Returns the corruptions that a config describes, labels first.

  Args:
    config: resolved or not.

  Returns:
    None, one or two descriptions for `rethinking.corruptions.apply`.

  Raises:
    UserError: for an unknown name, option or level.
  """
  label_options = _options(config, "label_options")
  if config.exact:
    label_options["exact"] = True
  found = []
  for field, target, options in (
    ("label_noise", "labels", label_options),
    ("pixel_noise", "images", _options(config, "pixel_options")),
  ):
    name = config[field]
    if name is None:
      continue
    allowed = {
      n: d for n, d in corruptions_lib.DEFINITIONS.items() if d.target == target
    }
    if name not in allowed:
      raise UserError(
        f"Unknown {field} {name!r}; choose one of {sorted(allowed)}."
      )
    if target == "labels" and allowed[name].has_level:
      options["level"] = config.p
    try:
      found.append(corruptions_lib.Corruption.create(name, **options))
    except ValueError as error:
      raise UserError(str(error)) from error
  return tuple(found)


def _options(config: ConfigDict, field: str) -> dict[str, Any]:
  """Reads "name=value name=value" with Python literals or plain words."""
  found = {}
  for pair in config[field].split():
    name, equals, value = pair.partition("=")
    if not equals:
      raise UserError(
        f"{field} is {config[field]!r}; write name=value, separated by spaces."
      )
    try:
      found[name] = ast.literal_eval(value)
    except (SyntaxError, ValueError):
      found[name] = value
  return found


def plain(config: ConfigDict) -> dict[str, Any]:
  """Returns a config as JSON gives it back: lists for tuples.

  Args:
    config: resolved.
  """
  return json.loads(json.dumps(config.to_dict()))


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
  """Names the fields in which two configs differ, but for `PLACE_FIELDS`.

  Args:
    old: a config as read from config.json.
    new: a resolved config, from `plain`.

  Returns:
    Lines "field: old -> new", empty if the configs describe the same run.
  """
  missing = object()
  return [
    f"{k}: {old.get(k)!r} -> {new.get(k)!r}"
    for k in sorted({*old, *new} - set(PLACE_FIELDS))
    if old.get(k, missing) != new.get(k, missing)
  ]
