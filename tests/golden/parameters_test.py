"""What 20 steps of each architecture come to, batch 8, random data, Adam.

Losses and the parameters' norm are compared on every machine; parameters to the
bit where the file beside holds this jaxlib's and processor's digest.
"""

import hashlib

import jax
import numpy as np
import pytest
from kept import golden

from rethinking import config as config_lib
from rethinking import models
from rethinking.training import placement, programs
from rethinking.training import state as state_lib
from rethinking.training.sampler import Sampler

STEPS, BATCH, EXAMPLES = 20, 8, 64
SHAPES = {
  "digits_cnn": (8, 8, 1),
  "keras_mnist_cnn": (28, 28, 1),
  "keras_cifar_cnn": (32, 32, 3),
  "wide_resnet_28_1": (32, 32, 3),
}
# Half a minute and more to compile; rounding grows with depth.
_LARGE = ("inception", "inception_no_bn", "wide_resnet_28_1")


@pytest.mark.parametrize(
  "arch",
  [
    pytest.param(a, marks=pytest.mark.slow if a in _LARGE else ())
    for a in models.ARCHITECTURES
  ],
)
def test_twenty_steps_stay(arch, request):
  config = config_lib.default()
  config.update(arch=arch, batch_size=BATCH, crop=0, epochs=3)
  config = config_lib.resolve(config)
  rng = np.random.default_rng(0)
  shape = SHAPES.get(arch, (28, 28, 3))
  data = state_lib.Data(
    rng.integers(0, 256, (EXAMPLES, *shape), np.uint8).reshape(EXAMPLES, -1),
    rng.integers(0, 10, EXAMPLES).astype(np.int32),
    np.arange(EXAMPLES, dtype=np.uint32),
  )
  devices = tuple(jax.devices()[:1])
  made = programs.create(
    programs.key(config), EXAMPLES, 10, shape, devices, False
  )

  def put(tree):
    rows = jax.tree.map(lambda x: np.asarray(x)[None], tree)
    return placement.put_runs(rows, devices, spread=False)

  state = put(made.init(key=state_lib.root(0, "init")))
  data = placement.replicate(data, devices)
  key = put(jax.random.key_data(state_lib.root(0, "noise")))
  order = Sampler(0, np.arange(EXAMPLES, dtype=np.int32), BATCH, 1)
  losses = []
  one = np.int32([1])
  for i in range(STEPS):
    stream = jax.tree.map(
      lambda x: np.asarray(x)[None], order.draw(order.epoch(i))
    )
    stream = placement.put_stream(stream, BATCH, devices, spread=False)
    state, loss = made.train(1, state, data, stream, one, one[0], key, ())
    losses.append(float(jax.device_get(loss)[0, 0]))
  params = jax.device_get(jax.tree.leaves(state.params))
  norm = float(np.sqrt(sum(np.sum(np.float64(x) ** 2) for x in params)))
  digest = hashlib.sha256(b"".join(x.tobytes() for x in params)).hexdigest()
  golden(request, "parameters", arch).closely(
    [norm, *losses], digest, rtol=3e-2 if arch in _LARGE else 1e-3
  )
