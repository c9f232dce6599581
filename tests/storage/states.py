"""States of a run to save and compare, for the tests of checkpoints."""

import jax
import jax.numpy as jnp
import numpy as np
import optax

from rethinking.storage import checkpoint


def state_of(step, size=20):
  """A small state that depends on the step."""
  params = {"dense": {"kernel": jnp.full((size, 3), step, jnp.float32)}}
  return {
    "params": params,
    "batch_stats": {},
    "opt_state": optax.adam(1e-3).init(params),
    "step": jnp.int32(step),
  }


def same(a, b):
  """Whether two trees have the same structure, dtypes and bits."""
  pairs = zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True)
  return jax.tree.structure(a) == jax.tree.structure(b) and all(
    np.asarray(x).dtype == np.asarray(y).dtype
    and np.shape(x) == np.shape(y)
    and np.asarray(x).tobytes() == np.asarray(y).tobytes()
    for x, y in pairs
  )


def saved(folder):
  """Makes intact checkpoints of steps 10 and 20; returns their folder."""
  checkpoints = checkpoint.Checkpointer(folder)
  for step in (10, 20):
    checkpoints.save(step, state_of(step), {"step": step})
  return folder


def restore(folder):
  return checkpoint.Checkpointer(folder).restore(state_of(0))


def files_of(folder):
  return sorted(path for path in folder.rglob("*") if path.is_file())
