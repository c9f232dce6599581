"""A trained model as files that any framework reads."""

import dataclasses
import os

from flax import traverse_util

from rethinking import __version__, models
from rethinking.exports import contents
from rethinking.exports.write import make_folder, write_sums
from rethinking.storage import files
from rethinking.training.trained import Trained

PARAMETERS, ARCHITECTURE = "parameters.npz", "architecture.json"


def write(model: Trained, out: str | os.PathLike) -> int:
  """Writes a model's arrays and what they are the arrays of.

  parameters.npz has `params/LAYER/kernel` and the like, and of a model with
  BatchNorm `batch_stats/LAYER/mean` and `var`; kernels are [in, out], of
  convolutions [height, width, in, out]. architecture.json says how to build
  it, and what becomes of an image before: centre crop, divided by 255, then
  (x - mean) / std by channel or, for `per_image`, by its own mean and
  max(std, 1 / sqrt(number of values)). SHA256SUMS comes last.

  Args:
    model: from `rethinking.load`.
    out: the folder, made if it is missing.

  Returns:
    The number of parameters.

  Raises:
    UserError: for a folder that can't be written.
  """
  folder = make_folder(out, (PARAMETERS, ARCHITECTURE))
  config = model.config
  row = dataclasses.asdict(models.ARCHITECTURES[config.arch])
  if not isinstance(row["builder"], str):
    row["builder"] = f"{row['builder'].__module__}:{row['builder'].__name__}"
  mean, std = model.statistics or (None, None)
  about = {
    "architecture": config.arch,
    **{name: row[name] for name in ("sentence", "builder", "arguments")},
    "num_classes": len(model.class_names),
    "class_names": model.class_names,
    "image_shape": model.image_shape,
    "crop": config.crop,
    "normalization": config.normalization,
    "mean": mean,
    "std": std,
    "dropout": config.dropout,
    "dtype": config.dtype,
    "rethinking": __version__,
  }
  weights = {"params": model.params, "batch_stats": model.batch_stats}
  arrays = traverse_util.flatten_dict(weights, sep="/")
  with files.refused("--out", folder):
    # One of an earlier command would pass for this model's.
    (folder / contents.SUMS).unlink(missing_ok=True)
    files.replace(folder / PARAMETERS, files.npz_bytes(arrays))
    files.write_json(folder / ARCHITECTURE, about)
    write_sums(folder, (PARAMETERS, ARCHITECTURE))
  return sum(x.size for k, x in arrays.items() if k.startswith("params/"))
