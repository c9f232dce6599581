"""What a run is: its fields, the variant grammar, resolution and checks.

May import corruptions, data and models, each where it is called: nothing here
imports JAX or Flax with it.
"""

from rethinking.config.resolve import (
  PLACE_FIELDS,
  VARIANTS,
  corruptions,
  default,
  differences,
  parse,
  plain,
  resolve,
)

__all__ = [
  "PLACE_FIELDS",
  "VARIANTS",
  "corruptions",
  "default",
  "differences",
  "parse",
  "plain",
  "resolve",
]
