"""The benchmark's table, JSON and picture."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from etils import epath
from rich.console import Console
from rich.table import Table

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
  """Writes benchmark.json and, once a model is in it, benchmark.svg.

  Args:
    result: so far.
    folder: exists.
  """
  files.write_json(folder / "benchmark.json", result)
  if result.get("models"):
    _draw(result, folder / "benchmark.svg")


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
  console.print(
    f"{machine['processor']}, {machine['cpu_count']} cores, "
    f"{machine['device_count']} x {machine['device']}; {versions}; "
    f"XLA_FLAGS={machine['xla_flags']!r}; {machine['date']}"
  )
  limits = result["limits"]
  product = limits["matmul_flops_per_second"]["median"] / 1e9
  copy = limits["copy_bytes_per_second"]["median"] / 1e9
  console.print(
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
  table = Table(title=name)
  for column in ("", "median", "lowest", "highest"):
    table.add_column(column, justify="right" if column else "left")
  for key, value in values.items():
    if isinstance(value, Mapping):
      numbers = (value[x] for x in ("median", "low", "high"))
      table.add_row(key, *(f"{x:,.3g}" for x in numbers))
    else:
      shown = f"{value:,.3g}" if isinstance(value, float) else str(value)
      table.add_row(key, shown, "", "")
  console.print(table)


def show_model(result: Mapping[str, Any], name: str, console: Console) -> None:
  """Prints one model's training rates in a line.

  Args:
    result: the benchmark's.
    name: in its `models`.
    console: where to.
  """
  training = result["models"][name]["training"]
  rates = ", ".join(
    f"{who} {found['median']:,.0f}" for who, found in training.items()
  )
  console.print(f"{name}: {rates} images/s")


def show_models(result: Mapping[str, Any], console: Console) -> None:
  """Prints the table of the models.

  Args:
    result: the benchmark's, with `models`.
    console: where to.
  """
  table = Table(
    title=f"images per second, batch {result['batch_size']}, {result['dtype']}"
  )
  for name, model in result["models"].items():
    training, evaluation = model["training"], model["evaluation"]

    def rate(who, training=training):
      return f"{training[who]['median']:,.0f}" if who in training else "-"

    def ratio(kind, model=model):
      found = model[f"{kind}_ratio"]
      return "-" if found is None else f"{found:.2f}"

    ours = training["jax"]
    others = _contenders(result)[1:]
    cells = [
      ("model", name),
      ("training", rate("jax")),
      ("lowest-highest", f"{ours['low']:,.0f}-{ours['high']:,.0f}"),
      *((who.replace("_", " ", 1), rate(who)) for who in others),
      ("ratio", ratio("training")),
      ("share of FLOP/s", f"{share_of_limit(result, name):.0%}"),
      ("evaluation", f"{evaluation['jax']['median']:,.0f}"),
      ("ratio", ratio("evaluation")),
    ]
    for title, _ in () if table.columns else cells:
      table.add_column(title, justify="left" if title == "model" else "right")
    table.add_row(*(text for _, text in cells))
  console.print(table)
