"""Schedules and penalties against their formulas."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rethinking import config as config_lib
from rethinking import optim

N, B = 1437, 128


def _config(**fields):
  c = config_lib.default()
  c.dataset, c.arch, c.batch_size, c.epochs = "digits", "digits_cnn", B, 10
  c.update(fields)
  return config_lib.resolve(c)


@given(st.integers(1, 200), st.integers(1, 5000), st.integers(1, 600).map(int))
def test_epoch_end_is_the_first_step_that_saw_all(epoch, n, batch):
  step = optim.epoch_end(epoch, n, batch)
  assert step * batch >= epoch * n > (step - 1) * batch


def test_the_paper_takes_25_000_steps_in_64_epochs():
  assert optim.epoch_end(64, 50_000, 128) == 25_000


def test_cosine_goes_from_the_rate_to_zero():
  s = optim.schedule(_config(learning_rate=0.5), N)
  steps = optim.epoch_end(10, N, B)
  assert s(0) == 0.5
  np.testing.assert_allclose(s(steps // 2), 0.25, rtol=0.02)
  assert s(steps) == 0


@pytest.mark.parametrize("n", [N, 50_000])
def test_exponential_turns_exactly_at_the_epochs(n):
  c = _config(recipe="paper", learning_rate=1.0, decay=0.5)
  s = jax.jit(optim.schedule(c, n))
  for epoch in range(1, 6):
    # The first step whose first example belongs to the next epoch.
    end = -(-epoch * n // B)
    assert s(jnp.int32(end)) == 0.5**epoch
    assert s(jnp.int32(end - 1)) == 0.5 ** (epoch - 1)


def test_exponential_does_not_overflow_in_long_runs():
  c = _config(recipe="paper", learning_rate=1.0, decay=1.0)
  assert optim.schedule(c, 50_000)(jnp.int32(10_000_000)) == 1.0


def _update(config, params, grads):
  tx = optim.create(config, N)
  updates, _ = tx.update(grads, tx.init(params), params)
  return optax.apply_updates(params, updates)


PARAMS = {"kernel": jnp.full((2, 2), 3.0), "bias": jnp.full((2,), 3.0)}
ZEROS = jax.tree.map(jnp.zeros_like, PARAMS)


def test_l2_is_the_gradient_of_half_the_sum_of_squares():
  c = _config(recipe="paper", learning_rate=0.1, l2=0.5)
  new = _update(c, PARAMS, ZEROS)
  penalty = lambda p: 0.25 * jnp.sum(p["kernel"] ** 2)  # noqa: E731
  want = optax.apply_updates(
    PARAMS, jax.tree.map(lambda g: -0.1 * g, jax.grad(penalty)(PARAMS))
  )
  np.testing.assert_allclose(new["kernel"], want["kernel"], rtol=1e-6)
  np.testing.assert_array_equal(new["bias"], PARAMS["bias"])


def test_weight_decay_is_decoupled_from_adam():
  c = _config(learning_rate=0.1, weight_decay=0.5)
  new = _update(c, PARAMS, ZEROS)
  # Adam would turn a penalty's gradient into a step of the whole rate.
  np.testing.assert_allclose(new["kernel"], 3.0 * (1 - 0.1 * 0.5), rtol=1e-6)
  np.testing.assert_array_equal(new["bias"], PARAMS["bias"])


def test_sgd_has_momentum_of_nine_tenths():
  c = _config(recipe="paper", learning_rate=1.0, decay=1.0)
  tx = optim.create(c, N)
  state, ones = tx.init(PARAMS), jax.tree.map(jnp.ones_like, PARAMS)
  for want in (1.0, 1.9, 2.71):
    updates, state = tx.update(ones, state, PARAMS)
    np.testing.assert_allclose(updates["bias"], -want, rtol=1e-6)
