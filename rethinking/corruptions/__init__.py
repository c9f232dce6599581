"""Label and pixel noise, defined exactly and reproducible anywhere.

Imports JAX and NumPy only. Every corruption is a pure function of (seed,
example id, level): the same in any batch, order, shard, device count, jitted
or not. Levels nest: a label or an image that is corrupted at 0.2 is corrupted
the same way at 0.4 (exceptions below). T is T[true, given], K the number of
classes.

Labels:
  uniform      T = (1-p) I + (p/K) 11^T; only p(K-1)/K of the labels change.
               Zhang et al. 2017
  symmetric    T_ii = 1-p, T_ij = p/(K-1); p of the labels change.
               Patrini et al. 2017; Han et al. 2018
  pair_flip    T_i,i+1 mod K = p. Han et al. 2018
  asymmetric   T_i,map(i) = p; map is cifar10, mnist, cifar100 (next in the
               superclass) or K labels. Patrini et al. 2017
  transition   any row-stochastic matrix. Patrini et al. 2017
  instance     q_i ~ N(p, 0.1^2) truncated to [0, 1]; with probability q_i a
               wrong class from softmax(x_i W[y_i]), x normalised; mean rate
               0.08 at p = 0. Xia et al. 2020
  permutation  labels permuted among round(p n) random examples; class counts
               kept. Edgington, Onghena 2007
  human        an array of an .npz at path, matched by id, such as CIFAR-10N's.
               Wei et al. 2022

Images (uint8):
  shuffled_pixels  one permutation of the positions, the same for train and
                   test. Zhang et al. 2017
  random_pixels    a permutation for each image. Zhang et al. 2017
  gaussian_pixels  N(mean, variance) of the train images, all values or
                   per_channel=True; rounded, clipped to 0..255.
                   Zhang et al. 2017
  partial_shuffle  round(level n) positions permuted; one permutation for all,
                   or per_image=True
  gaussian_noise   x + round(255 level z), clipped.
                   Hendrycks, Dietterich 2019
  occlusion        a block of value, level times the image's sides, at a random
                   place. DeVries, Taylor 2017

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

A new corruption is an op, a row of `registry.DEFINITIONS` and a golden value.

May import: JAX and NumPy alone, and Matplotlib inside what draws.
"""

import importlib
from typing import Any

# What is public, by its file here.
_NAMES = {
  "registry": "DEFINITIONS",
  "description": "Corruption",
  "dataset": "apply",
  "report": "Corrupted fingerprint transition_matrix",
  "keys": "example_keys named_key root_key",
  "labels": "asymmetric drawn pair_flip symmetric transition uniform",
  "instance_noise": "instance projection",
  "subsets": "drawn_exactly exact exact_count human permutation",
  "images": "occlude random_occlude random_partial_shuffle"
  " random_shuffle_pixels shuffle_pixels",
  "gaussian": "add_noise look_up_pixels random_gaussian_noise"
  " random_gaussian_pixels",
  "permutations": "partial_permutation random_permutation",
  "quantiles": "ImageStatistics image_statistics noise_table pixel_table",
  "matrices": "asymmetric_matrix exclusive_rate inclusive_rate"
  " pair_flip_matrix symmetric_matrix uniform_matrix",
  "checks": "check_matrix",
  "pictures": "draw_examples draw_transitions",
}
_FILES = {n: file for file, names in _NAMES.items() for n in names.split()}
__all__ = sorted(_FILES)


def __getattr__(name: str) -> Any:
  # When it is asked for, so that DEFINITIONS can be read without JAX.
  if name not in _FILES:
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
  module = importlib.import_module(f"{__name__}.{_FILES[name]}")
  return globals().setdefault(name, getattr(module, name))


def __dir__() -> list[str]:
  return [*globals(), *__all__]
