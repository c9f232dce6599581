"""How a convolution, a pool, a normalisation, a warp is computed.

  switch         which platform takes which form, and what stays in memory
  plain          the forms of lax: the reference, and what accelerators take
  convolution    the CPU's convolutions: matrix products, pairs, strides
  winograd       3x3 convolutions in fewer products
  pooling        max pooling whose gradient reads instead of writes
  normalization  over the batch of all devices, and across channels
  sums           column sums, bias
  affine         an image rotated, shifted, sheared and zoomed
  window         a window of an image

Where there are two forms, they have the same values and gradients but for
rounding; a test of each compares them.

May import: nothing of the project.
"""

from rethinking.ops.affine import affine
from rethinking.ops.convolution import conv
from rethinking.ops.normalization import batch_norm, local_response_norm
from rethinking.ops.pooling import max_pool
from rethinking.ops.sums import add_bias, wide
from rethinking.ops.window import window

__all__ = [
  "add_bias",
  "affine",
  "batch_norm",
  "conv",
  "local_response_norm",
  "max_pool",
  "wide",
  "window",
]
