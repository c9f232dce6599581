"""The figures of the studies: BatchNorm, the Keras study, portions, redraw."""

from collections.abc import Iterator, Sequence
from typing import Any

from rethinking.config.fields import LABELS, PIXELS
from rethinking.report import pictures
from rethinking.report.figure1 import changed
from rethinking.report.pictures import Picture
from rethinking.report.rows import Group, Stat
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
  found = [(g, g.curve("test_accuracy")) for g in groups]
  found = [(g, curve) for g, curve in found if len(curve) > 1]
  if not found:
    return
  different = [n for n in varying(groups) if n != "arch"]
  fig, ((axis,),) = plots.figure(1, 1, (5.6, 3.9))
  for k, (group, curve) in enumerate(found):
    _, epochs, stats = zip(*curve, strict=True)
    words = [_words(group.arch, [g.arch for g in groups])]
    words += [f"{n} {value_text(group.settings, n)}" for n in different]
    pictures.band(
      axis,
      epochs,
      stats,
      percent=True,
      label=", ".join(words),
      markevery=max(1, len(epochs) // 8),
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
  kept = {"weights kept": "stat"}
  yield from changed(several, f"{name}_changed", kept)


def _lines(
  groups: Sequence[Group], kind: str, level: str, but: Sequence[str]
) -> dict[str, dict[str, list[Group]]]:
  """Sorts groups into lines along a level; runs at level 0 are in each.

  Args:
    groups: of one figure.
    kind: the setting that a line has one value of.
    level: the setting along it.
    but: settings that are no line's name.

  Returns:
    By value of `kind`, then by the line's name, groups in ascending order.
  """
  different = [name for name in varying(groups, but) if name != "arch"]
  kinds = dict.fromkeys(g.settings[kind] for g in groups if g.settings[level])
  found = {one: {} for one in kinds}
  for group in sorted(groups, key=lambda g: g.settings[level]):
    words = [f"{n} {value_text(group.settings, n)}" for n in different]
    name = ", ".join([group.arch, *words])
    for one in kinds if not group.settings[level] else [group.settings[kind]]:
      found[one].setdefault(name, []).append(group)
  return found


# What of the images an accuracy is of, by the suffix of its metric.
_IMAGES = {
  "": "all",
  "_clean_images": "clean",
  "_corrupted_images": "corrupted",
}


def portions(groups: Sequence[Group], name: str) -> Iterator[Picture]:
  """Draws accuracy on clean and on corrupted images against their share.

  Args:
    groups: of one figure.
    name: of the picture.
  """
  found = _lines(groups, "pixel_noise", "fraction", PIXELS)
  if not found:
    return
  shown = [(split, kind) for split in ("test", "train") for kind in found]
  fig, axes = pictures.panels(len(shown), 3.7, 3.2)
  for axis, (split, kind) in zip(axes, shown, strict=True):
    for k, (label, line) in enumerate(found[kind].items()):
      for j, (suffix, images) in enumerate(_IMAGES.items()):
        pictures.band(
          axis,
          [group.settings["fraction"] for group in line],
          [_of_images(group, split, suffix) for group in line],
          percent=True,
          label=f"{label}, {images} images",
          **_style(k, j),
        )
    _chance(axis, groups[0])
    levels = [
      g.settings["fraction"] for line in found[kind].values() for g in line
    ]
    pictures.percent_axes(axis, levels, f"{split} accuracy")
    axis.set_xlabel("fraction of the images corrupted")
    words = kind.replace("_", " ").replace("gauss", "Gauss")
    axis.set_title(words, fontsize=10)
  words = pictures.title("Accuracy by image", groups)
  # A column for each architecture.
  columns = len(found[shown[0][1]])
  pictures.legend(fig, axes[0], words, columns)
  yield Picture(name, fig)


def _of_images(group: Group, split: str, suffix: str) -> Stat:
  """Accuracy on some of the images; where none is corrupted, all are clean."""
  if suffix == "_clean_images" and not group.settings["fraction"]:
    suffix = ""
  return group.stat(f"{split}_accuracy{suffix}")


def _chance(axis: Any, group: Group) -> None:
  """The accuracy of a guess, named where no line begins."""
  axis.axhline(100 * group.chance, **pictures.CHANCE)
  axis.text(0, 100 * group.chance + 1, "chance", fontsize=7, color="0.3")


def _style(line: int, part: int) -> dict[str, Any]:
  """The colour of a line, and how one of its parts is drawn."""
  other = pictures.style(part)
  # The second of two equal lines must not hide the first.
  return pictures.style(line) | {
    "linestyle": other["linestyle"],
    "marker": other["marker"],
    "linewidth": max(0.8, 2 - 0.6 * line),
    "markersize": max(3, 5.5 - 1.5 * line),
  }


def redrawn(groups: Sequence[Group], name: str) -> Iterator[Picture]:
  """Draws accuracy against label noise that is drawn once, or in each epoch.

  Args:
    groups: of one figure.
    name: of the picture.
  """
  found = _lines(groups, "redraw", "p", (*LABELS, "redraw"))
  labels = dict.fromkeys(label for lines in found.values() for label in lines)
  if not found:
    return
  fig, axes = pictures.panels(len(labels), 4.4, 3.9)
  for axis, label in zip(axes, labels, strict=True):
    for k, (redraw, lines) in enumerate(found.items()):
      line = lines.get(label, [])
      drawn = "once" if redraw == "never" else f"each {redraw}"
      for j, split in enumerate(("train", "test")):
        pictures.band(
          axis,
          [group.p for group in line],
          [group.stat(f"{split}_accuracy") for group in line],
          percent=True,
          label=f"{split}, labels drawn {drawn}",
          **_style(k, j),
        )
    _chance(axis, groups[0])
    pictures.percent_axes(axis, [group.p for group in groups], "accuracy")
    axis.set_title(label, fontsize=10)
  words = pictures.title("Accuracy at the end", groups)
  pictures.legend(fig, axes[0], words, 2)
  yield Picture(name, fig)
