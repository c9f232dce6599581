"""Label and pixel noise, defined exactly and reproducible anywhere.

Imports JAX and NumPy only. Every corruption is a pure function of (seed,
example id, level): the same in any batch, order, shard, device count, jitted
or not. Levels nest: a label or an image that is corrupted at 0.2 is corrupted
the same way at 0.4 (exceptions below). T is T[true, given], K the number of
classes.

Labels:
{labels}

Images (uint8):
{images}

exact=True draws exactly round(p n) examples (labels with a level, but for
permutation, which always does; images with fraction=). Drawn is not changed:
the report counts both.

Exceptions. Exact counts and permutation depend on which examples are in the
set, everything else doesn't; gaussian_pixels and instance use the statistics
of the train images, so give statistics= where a subset must come out as the
whole set does. The subsets of permutation nest, its labels don't; two matrices
of transition need not; the positions of partial_shuffle nest, not where they
go, and the blocks of occlusion do not. Instance-dependent and additive noise
are promised for a platform and version; everything else has fingerprints that
the tests hold. inclusive_rate and exclusive_rate convert between the
conventions.

JAX: ops work on one example, under jit, vmap, pmap and scan.

>>> import jax, jax.numpy as jnp
>>> from rethinking.corruptions import example_keys, root_key, uniform
>>> keys = example_keys(root_key(0), jnp.arange(8))
>>> noisy = jax.vmap(lambda k, y: uniform(k, y, 0.4, num_classes=10))
>>> jax.jit(noisy)(keys, jnp.arange(8)).shape
(8,)

NumPy and PyTorch: a whole set in, NumPy arrays and a report out.

  done = apply([Corruption.create("random_pixels")], seed=0,
               images=images,  # uint8 [N, H, W, C]
               labels=labels, ids=np.arange(n), num_classes=10)
  done.report["flip_rate"], done.report["labels_sha256"]
  x = torch.from_numpy(done.images).permute(0, 3, 1, 2) / 255
  y = torch.from_numpy(done.labels).long()

A new corruption is an op, a row of `registry.DEFINITIONS`, what it is given in
`parameters` and a golden value; of labels with a level also what it is on
average, in `matrices`. One of your own is an op and a `register`, see
configs/EXTENDING.md. `array_files` reads every .npz and .npy that others made.

Inside a program: `prepare` makes a `Noise` for each corruption, whose arrays
are traced, and `corrupt` applies it to a batch by rows and ids.

May import: JAX and NumPy alone, and Matplotlib inside what draws.
"""

import importlib
from typing import Any

from rethinking.corruptions.registry import DEFINITIONS, listing

if __doc__:  # None under python -OO.
  __doc__ = __doc__.format(labels=listing("labels"), images=listing("images"))

# What is public beside the ops, by its file here.
_NAMES = {
  "description": "Corruption",
  "registry": "Definition register",
  "chain": "apply prepare",
  "prepared": "Prepared",
  "noise": "Noise corrupt",
  "report": "Corrupted fingerprint transition_matrix",
  "keys": "example_keys name_ids named_key root_key",
  "labels": "drawn",
  "instance_noise": "projection",
  "subsets": "drawn_exactly exact",
  "thresholds": "exact_count",
  "images": "occlude",
  "gaussian": "add_noise look_up_pixels",
  "permutations": "partial_permutation random_permutation",
  "quantiles": "ImageStatistics image_statistics noise_table pixel_table",
  "matrices": "asymmetric_matrix exclusive_rate inclusive_rate"
  " pair_flip_matrix symmetric_matrix uniform_matrix",
  "checks": "check_matrix",
  "pictures": "draw_examples draw_transitions",
}
_FILES = {row.op.name: row.op.module for row in DEFINITIONS.values()} | {
  n: file for file, names in _NAMES.items() for n in names.split()
}
__all__ = sorted(["DEFINITIONS", *_FILES])


def __getattr__(name: str) -> Any:
  # When it is asked for, so that the rows can be read without JAX.
  if name not in _FILES:
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
  module = importlib.import_module(f"{__name__}.{_FILES[name]}")
  return globals().setdefault(name, getattr(module, name))


def __dir__() -> list[str]:
  return [*globals(), *__all__]
