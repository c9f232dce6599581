"""Schedules and penalties against their formulas."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rethinking import config as config_lib
from rethinking.training import optim

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


def test_l2_on_convolutions_leaves_dense_layers_alone():
  c = _config(recipe="paper", learning_rate=0.1, l2=0.5, l2_kernels="conv")
  params = {**PARAMS, "conv": jnp.full((3, 3, 1, 2), 3.0)}
  new = _update(c, params, jax.tree.map(jnp.zeros_like, params))
  np.testing.assert_allclose(new["conv"], 3.0 * (1 - 0.1 * 0.5), rtol=1e-6)
  np.testing.assert_array_equal(new["kernel"], PARAMS["kernel"])


def _seed(**fields):
  return _config(recipe="keras", l2=0.0, validation=100, **fields)


def _rate(config, state):
  """The size of an update, whose direction Adam makes one of ones."""
  updates, _ = optim.create(config, N).update(
    jax.tree.map(jnp.ones_like, PARAMS), state, PARAMS
  )
  return -float(updates["bias"][0])


def test_plateau_halves_after_ten_evaluations_without_a_better_loss():
  c = _seed(learning_rate=0.5)
  state = optim.create(c, N).init(PARAMS)
  rates = []
  # A gain of less than 1e-4 is none; the eleventh counts from the second on.
  for loss in [2.0, 1.0] + [1.0 - 5e-5] * 9 + [1.5] + [1.2] * 9 + [0.9] * 12:
    state = optim.observe(c, state, loss)
    rates.append(_rate(c, state))
  want = [0.5] * 11 + [0.25] * 20 + [0.125] * 2
  np.testing.assert_allclose(rates, want, rtol=1e-5)


def test_plateau_ends_at_the_floor():
  c = _seed(learning_rate=3e-5)
  state = optim.create(c, N).init(PARAMS)
  for _ in range(31):
    state = optim.observe(c, state, 1.0)
  np.testing.assert_allclose(_rate(c, state), 1e-5, rtol=1e-5)
  # A rate below the floor is nobody's to raise.
  c = _seed(learning_rate=1e-6)
  state = optim.create(c, N).init(PARAMS)
  for _ in range(31):
    state = optim.observe(c, state, 1.0)
  np.testing.assert_allclose(_rate(c, state), 1e-6, rtol=1e-5)


def test_a_step_does_not_move_the_plateau_nor_an_evaluation_the_rest():
  c = _seed()
  tx = optim.create(c, N)
  state = tx.init(PARAMS)
  _, stepped = tx.update(jax.tree.map(jnp.ones_like, PARAMS), state, PARAMS)
  for a, b in zip(state[-1], stepped[-1], strict=True):
    np.testing.assert_array_equal(a, b)
  seen = optim.observe(c, stepped, 1.0)
  for a, b in zip(
    jax.tree.leaves(stepped[:-1]), jax.tree.leaves(seen[:-1]), strict=True
  ):
    np.testing.assert_array_equal(a, b)
  assert float(seen[-1].best_value) == 1.0
