"""Losses, one value an example."""

import jax
import jax.numpy as jnp


def cross_entropy(logits: jax.Array, labels: jax.Array) -> jax.Array:
  """Softmax cross-entropy of integer labels, in nats.

  -log softmax(logits)[label] = logsumexp(logits) - logits[label]

  Args:
    logits: [B, K], unnormalised log-probabilities.
    labels: [B], integers in [0, K).

  Returns:
    [B], at least 0.
  """
  given = jnp.take_along_axis(logits, labels[:, None], axis=-1)[:, 0]
  return jax.nn.logsumexp(logits, axis=-1) - given
