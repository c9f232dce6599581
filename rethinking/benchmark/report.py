"""The benchmark's table, JSON and picture."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from etils import epath

from rethinking.runtime.console import Console
from rethinking.storage import files, plots


def share_of_limit(result: Mapping[str, Any], arch: str) -> float:
  """The part of the machine's product FLOP/s that a training step uses.

  Args:
    result: the benchmark's.
    arch: a name in its `models`.
  """
  model = result["models"][arch]
  rate = model["training"]["jax"]["median"] * model["operations"]["training"]
  return rate / result["limits"]["matmul_flops_per_second"]["median"]


def write(result: Mapping[str, Any], folder: epath.Path) -> None:
  """Writes benchmark.json and, once a model is in it, a picture.

  Args:
    result: so far.
    folder: exists.
  """
  files.write_json(folder / "benchmark.json", result)
  if result.get("models"):
    with plots.drawing("benchmark.png"):
      _draw(result, folder / "benchmark")


def _contenders(result):
  """Who took part, in the same order for every model."""
  models = result["models"].values()
  return list(dict.fromkeys(who for m in models for who in m["training"]))


def _draw(result, path):
  names = list(result["models"])
  fig, axes = plots.figure(1, 1, (7, 1 + 0.6 * len(names)))
  ax = axes[0, 0]
  contenders = _contenders(result)
  for index, who in enumerate(contenders):
    found = {
      row: model["training"][who]
      for row, model in enumerate(result["models"].values())
      if who in model["training"]
    }
    low, medians, high = (
      np.array([rates[x] for rates in found.values()])
      for x in ("low", "median", "high")
    )
    ax.barh(
      np.array([*found]) + 0.8 * (index + 0.5) / len(contenders) - 0.4,
      medians,
      height=0.8 / len(contenders),
      xerr=[medians - low, high - medians],
      color=plots.COLOURS[index],
      label=who,
    )
  ax.set_yticks(range(len(names)), names)
  ax.invert_yaxis()
  ax.set_xscale("log")
  ax.set_xlabel("training, images per second (median, lowest to highest)")
  ax.legend(frameon=False)
  plots.save(fig, path)


def show_machine(result: Mapping[str, Any], console: Console) -> None:
  """Prints the machine and its limits.

  Args:
    result: the benchmark's.
    console: where to.
  """
  machine = result["machine"]
  versions = ", ".join(f"{k} {v}" for k, v in machine["versions"].items())
  console.say(
    f"{machine['processor']}, {machine['cpu_count']} cores, "
    f"{machine['device_count']} x {machine['device']}; {versions}; "
    f"XLA_FLAGS={machine['xla_flags']!r}; {machine['date']}"
  )
  limits = result["limits"]
  product = limits["matmul_flops_per_second"]["median"] / 1e9
  copy = limits["copy_bytes_per_second"]["median"] / 1e9
  console.say(
    f"limits: {product:,.0f} GFLOP/s ({result['dtype']} product), "
    f"{copy:,.1f} GB/s (copy, read and written)"
  )


def show_part(name: str, values: Mapping[str, Any], console: Console) -> None:
  """Prints what was measured of one part.

  Args:
    name: of the part, the table's title.
    values: what it returned.
    console: where to.
  """
  console.table(part_rows(name, values))


def part_rows(name: str, values: Mapping[str, Any]) -> list[tuple[str, ...]]:
  """Returns the rows of a part's table, the first with its titles.

  Args:
    name: of the part.
    values: what it returned.
  """
  rows = [(name, "median", "lowest", "highest")]
  for key, value in values.items():
    if isinstance(value, Mapping):
      cells = [f"{value[x]:,.3g}" for x in ("median", "low", "high")]
    else:
      shown = f"{value:,.3g}" if isinstance(value, float) else str(value)
      cells = [shown, "", ""]
    rows.append((key, *cells))
  return rows


def show_model(result: Mapping[str, Any], name: str, console: Console) -> None:
  """Prints one model's training rates in a line.

  Args:
    result: the benchmark's.
    name: in its `models`.
    console: where to.
  """
  training = result["models"][name]["training"]
  rates = ", ".join(f"{who} {_rate(x)}" for who, x in training.items())
  console.say(f"{name}: {rates} images/s")


def show_models(result: Mapping[str, Any], console: Console) -> None:
  """Prints the table of the models.

  Args:
    result: the benchmark's, with `models`.
    console: where to.
  """
  rows = []
  for name, model in result["models"].items():
    training = model["training"]
    rows.append(
      {
        "model": name,
        "training": _rate(training["jax"]),
        "lowest-highest": "{low:,.0f}-{high:,.0f}".format(**training["jax"]),
        **{
          who.replace("_", " ", 1): _rate(training.get(who))
          for who in _contenders(result)[1:]
        },
        "ratio": _ratio(model["training_ratio"]),
        "share of FLOP/s": f"{share_of_limit(result, name):.0%}",
        "evaluation": _rate(model["evaluation"]["jax"]),
        "its ratio": _ratio(model["evaluation_ratio"]),
      }
    )
  console.say(
    f"images per second, batch {result['batch_size']}, {result['dtype']}"
  )
  console.table([[*rows[0]], *([*row.values()] for row in rows)])


def _rate(found: Mapping[str, Any] | None) -> str:
  return f"{found['median']:,.0f}" if found else "-"


def _ratio(value: float | None) -> str:
  return f"{value:.2f}" if value else "-"
