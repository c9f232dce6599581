"""A plain PyTorch training loop over a `DataLoader`."""

import functools
import os
from collections.abc import Callable, Mapping

import torch
from torch.nn import functional
from torch.utils.data import DataLoader, Dataset

from rethinking import data
from rethinking.benchmark import torch_models


class Images(Dataset):
  """Converts and whitens one image at a time, as a transform does."""

  def __init__(self, given: data.Dataset):
    self.given = given

  def __len__(self):
    return len(self.given.ids)

  def __getitem__(self, row):
    image = torch.from_numpy(self.given.images[row]).permute(2, 0, 1)
    image = image.to(torch.float32).div(255)
    if image.shape[1] == 32:
      image = image[:, 2:30, 2:30]
    std, mean = torch.std_mean(image, correction=0)
    image = (image - mean) / std.clamp_min(image.numel() ** -0.5)
    return image, int(self.given.labels[row])


def contenders(
  sets: Mapping[str, data.Dataset],
) -> tuple[Callable[[int], None]]:
  """Returns a function that trains for a number of epochs.

  Args:
    sets: `train` and `test`.
  """
  return (functools.partial(run, sets),)


def run(sets: Mapping[str, data.Dataset], epochs: int) -> None:
  """Trains MLP 1x512 with Adam and evaluates after each epoch.

  On the GPU where PyTorch has one.

  Args:
    sets: `train` and `test`.
    epochs: passes over the train set.
  """
  torch.set_num_threads(os.cpu_count() or 1)
  device = "cuda" if torch.cuda.is_available() else "cpu"
  loaders = {
    split: DataLoader(
      Images(given), batch_size=128, shuffle=split == "train", num_workers=2
    )
    for split, given in sets.items()
  }
  height, width, channels = sets["train"].images.shape[1:]
  side = (28, 28) if height == 32 else (height, width)
  model = torch_models.create("mlp_1x512", (*side, channels)).to(device)
  optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
  for epoch in range(epochs):
    model.train()
    total = 0.0
    for images, labels in loaders["train"]:
      optimizer.zero_grad(set_to_none=True)
      images, labels = images.to(device), labels.to(device)
      loss = functional.cross_entropy(model(images), labels)
      loss.backward()
      optimizer.step()
      total += loss.item()
    model.eval()
    right = 0
    with torch.inference_mode():
      for images, labels in loaders["test"]:
        predicted = model(images.to(device)).argmax(1)
        right += int((predicted == labels.to(device)).sum())
    accuracy = right / len(sets["test"].ids)
    print(f"epoch {epoch}: loss {total:.3f}, test accuracy {accuracy:.3f}")
