"""The figures of the studies: BatchNorm, and the Keras study's questions."""

from collections.abc import Iterator, Sequence

from rethinking.report import pictures
from rethinking.report.figure1 import changed
from rethinking.report.pictures import Picture
from rethinking.report.rows import Group
from rethinking.report.series import series, varying
from rethinking.report.settings import augmentation, value_text
from rethinking.storage import plots


def batch_norm(groups: Sequence[Group], name: str) -> Iterator[Picture]:
  """Draws test accuracy by epoch, with and without BatchNorm.

  Args:
    groups: of one figure.
    name: of the picture.

  Reference: Zhang, Bengio, Hardt, Recht, Vinyals (2017), figure 2b.
  """
  found = [(g, *pictures.curve(g, "test_accuracy")) for g in groups]
  found = [one for one in found if len(one[1]) > 1]
  if not found:
    return
  different = [n for n in varying(groups) if n != "arch"]
  fig, ((axis,),) = plots.figure(1, 1, (5.6, 3.9))
  for k, (group, steps, stats) in enumerate(found):
    words = [_words(group.arch, [g.arch for g in groups])]
    words += [f"{n} {value_text(group.settings, n)}" for n in different]
    pictures.band(
      axis,
      pictures.epochs(group, steps),
      stats,
      percent=True,
      label=", ".join(words),
      markevery=max(1, len(steps) // 8),
      **pictures.style(k),
    )
  axis.set_xlabel("epoch")
  axis.set_ylabel("test accuracy (%)")
  pictures.legend(fig, axis, pictures.title("Test accuracy", groups), 2)
  yield Picture(name, fig)


def _words(arch: str, archs: Sequence[str]) -> str:
  """An architecture, and whether it has the BatchNorm that another lacks."""
  if arch.endswith("_no_bn"):
    return f"{arch.removesuffix('_no_bn')} without BatchNorm"
  return f"{arch} with BatchNorm" if f"{arch}_no_bn" in archs else arch


def noise_levels(groups: Sequence[Group], name: str) -> Iterator[Picture]:
  """Draws test accuracy against label noise, augmented and not.

  Args:
    groups: of one figure.
    name: of the picture.
  """
  # By architecture: what only tells these apart is the panel's title.
  archs = list(dict.fromkeys(group.arch for group in groups))
  lines = [
    line
    for arch in archs
    for line in series([g for g in groups if g.arch == arch])
  ]
  if not any(len(line.points) > 1 for line in lines):
    return
  fig, axes = pictures.panels(len(archs), 4.2, 3.9)
  for axis, arch in zip(axes, archs, strict=True):
    mine = [line for line in lines if line.arch == arch]
    mine.sort(key=lambda one: augmentation(one.points[0].settings) != "none")
    for k, line in enumerate(mine):
      p = [group.p for group in line.points]
      label = line.label.removeprefix(arch).removeprefix(", ")
      label = label.replace("augment none", "not augmented")
      label = label.replace("augment ", "augmented by ")
      for quantity, words, step in (
        ("test_accuracy", "final", 0),
        ("best_test_accuracy", "best", 1),
      ):
        look = pictures.style(k) | {"linestyle": plots.STYLES[step]}
        if step:
          look |= {"markerfacecolor": "white", "linewidth": 1.1}
        pictures.band(
          axis,
          p,
          [group.stat(quantity) for group in line.points],
          percent=True,
          label=", ".join(filter(None, [label, words])),
          **look,
        )
    axis.axhline(100 * mine[0].points[0].chance, **pictures.CHANCE)
    levels = [group.p for line in mine for group in line.points]
    pictures.percent_axes(axis, levels, "test accuracy")
    axis.set_title(arch, fontsize=10)
  words = f"{pictures.title('Test accuracy', groups)}; grey dashes: chance"
  widest = max(axes, key=lambda axis: len(axis.lines))
  pictures.legend(fig, widest, words, 2)
  yield Picture(name, fig)
  several = [line for line in lines if len(line.points) > 1]
  # Of the weights that early stopping keeps; few of these runs ever fit.
  kept = {"weights kept": Group.stat}
  yield from changed(several, f"{name}_changed", kept)
