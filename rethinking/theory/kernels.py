"""Positive definite kernels that need only inner products and norms.

Every kernel here is a function of `<x, z>`, `<x, x>` and `<z, z>`, so the same
code serves raw images and feature maps whose inner products are summed block
by block without ever holding the features.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp


class Products(NamedTuple):
  """What a kernel needs to know of n examples x and m examples z.

  Attributes:
    inner: inner products `<x, z>`, `[n, m]`.
    sq_x: squared norms `<x, x>`, `[n, 1]`.
    sq_z: squared norms `<z, z>`, `[1, m]`.
  """

  inner: jax.Array
  sq_x: jax.Array
  sq_z: jax.Array


# A kernel of products and gamma.
Kernel = Callable[[Products, jax.Array], jax.Array]


def squared_distance(products: Products) -> jax.Array:
  """Squared Euclidean distances `|x|^2 + |z|^2 - 2 <x, z>`, never negative.

  The subtraction loses `eps (|x|^2 + |z|^2)`: 1e-5 for MNIST in float32.

  Args:
    products: of n examples and m.

  Returns:
    Squared distances `[n, m]`.
  """
  inner, sq_x, sq_z = products
  return jnp.maximum(sq_x + sq_z - 2 * inner, 0)


def _cosine(products: Products) -> jax.Array:
  inner, sq_x, sq_z = products
  # sqrt(fl(s * s)) == s in IEEE arithmetic, so that u(x, x) is exactly 1.
  scale = jnp.sqrt(sq_x * sq_z)
  safe = jnp.where(scale > 0, scale, 1)
  return jnp.clip(jnp.where(scale > 0, inner / safe, 0), -1, 1)


def linear(products: Products, gamma: jax.Array) -> jax.Array:
  """The linear kernel `<x, z>`; its rank is at most the dimension of x.

  Args:
    products: of n examples and m.
    gamma: unused.

  Returns:
    Kernel values `[n, m]`.
  """
  return products.inner


def gaussian(products: Products, gamma: jax.Array) -> jax.Array:
  """The Gaussian kernel `exp(-gamma |x - z|^2)`, in (0, 1].

  Args:
    products: of n examples and m.
    gamma: inverse squared length, > 0.

  Returns:
    Kernel values `[n, m]`.

  Reference:
    Zhang, Bengio, Hardt, Recht, Vinyals (2017), section 5.
  """
  return jnp.exp(-gamma * squared_distance(products))


def laplace(products: Products, gamma: jax.Array) -> jax.Array:
  """The Laplace kernel `exp(-gamma |x - z|)`, in (0, 1].

  The square root turns a distance error of 1e-5 near zero into one of 3e-3:
  close pairs are coarser in float32 than with the Gaussian kernel.

  Args:
    products: of n examples and m.
    gamma: inverse length, > 0.

  Returns:
    Kernel values `[n, m]`.

  Reference:
    Belkin, Ma, Mandal (2018), "To understand deep learning we need to
    understand kernel learning", section 3.
  """
  return jnp.exp(-gamma * jnp.sqrt(squared_distance(products)))


def quartic(products: Products, gamma: jax.Array) -> jax.Array:
  """The quartic cosine kernel `(<x, z> / (|x| |z|))^4`; no parameter.

  A degree-4 polynomial kernel on the unit sphere; blind to brightness.
  An all-zero image has the value 0 with everything, itself included.

  Args:
    products: of n examples and m.
    gamma: unused.

  Returns:
    Kernel values `[n, m]`, in [0, 1].
  """
  return _cosine(products) ** 4


def _angular(products: Products) -> tuple[jax.Array, jax.Array, jax.Array]:
  """`u`, `kappa_0(u)` and `kappa_1(u)` of the two arc-cosine kernels."""
  u = _cosine(products)
  rest = jnp.pi - jnp.arccos(u)
  order_0 = rest / jnp.pi
  order_1 = (jnp.sqrt(jnp.maximum(1 - u * u, 0)) + u * rest) / jnp.pi
  return u, order_0, order_1


def arc_cosine(products: Products, gamma: jax.Array) -> jax.Array:
  """The degree-1 arc-cosine kernel: an infinitely wide random ReLU layer.

  `|x| |z| (sqrt(1 - u^2) + u (pi - arccos u)) / pi` with `u` the cosine: twice
  the mean of `relu(<w, x>) relu(<w, z>)` over `w ~ N(0, I)`.

  Args:
    products: of n examples and m.
    gamma: unused.

  Returns:
    Kernel values `[n, m]`; `|x|^2` where x = z.

  Reference:
    Cho, Saul (2009), "Kernel methods for deep learning", section 2.
  """
  _, _, order_1 = _angular(products)
  return jnp.sqrt(products.sq_x * products.sq_z) * order_1


def ntk(products: Products, gamma: jax.Array) -> jax.Array:
  """The neural tangent kernel of one hidden ReLU layer without biases.

  `|x| |z| (kappa_1(u) + u kappa_0(u))` with the arc-cosine functions of degree
  0 and 1: gradients of the output weights and of the hidden weights, at
  variance 2 / fan-in. In float32 `arccos` near u = 1 is exact to 3e-4 only.

  Args:
    products: of n examples and m.
    gamma: unused.

  Returns:
    Kernel values `[n, m]`; `2 |x|^2` where x = z.

  Reference:
    Jacot, Gabriel, Hongler (2018), section 4; Bietti, Mairal (2019), "On the
    inductive bias of neural tangent kernels", section 3.
  """
  u, order_0, order_1 = _angular(products)
  return jnp.sqrt(products.sq_x * products.sq_z) * (order_1 + u * order_0)


KERNELS: dict[str, Kernel] = {
  kernel.__name__: kernel
  for kernel in (gaussian, quartic, laplace, linear, arc_cosine, ntk)
}


def default_gamma(name: str, mean_squared_distance: float) -> float:
  """A gamma that puts the typical pair of examples at the kernel's knee.

  `2 / D` for the Gaussian and `1 / sqrt(D)` for the Laplace kernel, with D the
  mean squared distance between two examples; 1 for kernels without gamma.
  MNIST at x / 255 has D = 104, so 0.019.

  Args:
    name: a key of `KERNELS`.
    mean_squared_distance: D > 0, in squared feature units.

  Returns:
    gamma.
  """
  spread = mean_squared_distance
  if spread <= 0:
    return 1.0
  return {"gaussian": 2 / spread, "laplace": spread**-0.5}.get(name, 1.0)
