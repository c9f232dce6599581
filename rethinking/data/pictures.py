"""PNG, JPEG and WebP as one array, by Pillow, headers first."""

import collections
import concurrent.futures
import hashlib
import os
from collections.abc import Callable, Sequence
from typing import BinaryIO, NamedTuple

import numpy as np

from rethinking.data import cache as cache_lib
from rethinking.data import checked
from rethinking.data.arrays import Arrays
from rethinking.runtime import memory
from rethinking.runtime.errors import UserError

_FORMATS = ("PNG", "JPEG", "WEBP")
_MOST_PIXELS = 2**24  # Of an image that is resized.
_SHOWN = 5
_ORIENTATION = 0x0112  # The tag of Exif.
# What is shown as the former is stored as the latter.
_MODES = {
  "1": "L",
  "L": "L",
  "RGB": "RGB",
  "CMYK": "RGB",
  "YCbCr": "RGB",
  "P": "RGB",
  "RGBA": "RGBA",
  "LA": "RGBA",
  "PA": "RGBA",
}
_CHANNELS = {"L": 1, "RGB": 3, "RGBA": 4}

# Opens an image by its place in the list.
Open = Callable[[int], BinaryIO]


class _Header(NamedTuple):
  """What is known of an image before it is decoded; or what is `wrong`."""

  wrong: str = ""
  format: str = ""
  mode: str = ""
  size: tuple[int, int] = (0, 0)
  several: bool = False
  turned: bool = False


def decode(
  names: Sequence[str], opened: Open, resize: int | None
) -> tuple[np.ndarray, str]:
  """Returns images as one array, and how they were stored and what was done.

  Of several frames the first; orientation tags are ignored; both are said.

  Args:
    names: what to call each image in an error.
    opened: opens an image by its place.
    resize: pixels a side, bilinear; None: they have one size.

  Returns:
    uint8 [N, H, W, C], C 1, 3 or 4; words.

  Raises:
    UserError: for images that can't be read, are too large, or differ in size,
      the first five by name, before any is decoded; and where memory is short.
  """
  count = len(names)
  with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
    places = range(count)
    headers = [*pool.map(lambda i: _header(opened, i, resize), places)]
    _refuse(names, [header.wrong for header in headers], "can't be used")
    size = (resize, resize) if resize else headers[0].size
    if not resize:
      other = [
        "" if h.size == size else f"{h.size[0]}x{h.size[1]}" for h in headers
      ]
      several = f"are not all {size[0]}x{size[1]} as {names[0]} is"
      _refuse(names, other, several)
    mode = max({h.mode for h in headers}, key=_CHANNELS.get)
    shape = (count, size[1], size[0], _CHANNELS[mode])
    check_memory(shape)
    images = np.empty(shape, np.uint8)

    def fill(place: int) -> str:
      try:
        images[place] = _pixels(opened(place), mode, resize).reshape(shape[1:])
      # Whatever a damaged file makes a parser raise.
      except Exception as error:  # noqa: BLE001
        return _line(error)
      return ""

    _refuse(names, [*pool.map(fill, places)], "can't be used")
  return images, _words(headers, mode, resize)


def cached(
  place: str,
  fingerprint: str | None,
  resize: int | None,
  decode: Callable[[], tuple[np.ndarray, str]],
) -> tuple[np.ndarray, str]:
  """Returns decoded images, from the user's cache where it has them.

  Args:
    place: where they come from: one entry a place and size.
    fingerprint: the SHA-256 of what is decoded; None: no cache.
    resize: pixels a side, or None.
    decode: makes them.
  """
  if fingerprint is None:
    return decode()
  digest = hashlib.sha256(os.fsencode(place)).hexdigest()
  key = f"own-{digest[:16]}-{resize or 'whole'}"
  found = cache_lib.load(key, lambda: fingerprint)
  if found is None:
    images, words = decode()
    none = np.zeros(len(images), np.int32)
    found = Arrays(images, none, none.astype(np.uint32), words)
    cache_lib.store(key, fingerprint, found)
  return found.images, found.encoding


def check_memory(shape: tuple[int, ...]) -> None:
  """Refuses an array of bytes that memory has no room for.

  Args:
    shape: of the array.
  """
  needed = int(np.prod(np.array(shape, object)))
  if needed > memory.available_bytes():
    raise UserError(
      f"Images must take at most {memory.available_bytes() / 2**30:.1f} GiB, "
      f"what is free, got shape {list(shape)} of {needed / 2**30:.1f} GiB; try "
      "a smaller resize, or fewer images."
    )


def _header(opened: Open, place: int, resize: int | None) -> _Header:
  from PIL import Image

  try:
    with opened(place) as file, Image.open(file, "r", _FORMATS) as im:
      wide, high = im.size
      if ";16" in str(im.tile) or im.mode not in _MODES:
        deep = "16-bit" if "16" in str(im.tile) else f"of mode {im.mode}"
        return _Header(f"{deep}; try image.convert('RGB') of 8 bits")
      if resize and wide * high > _MOST_PIXELS:
        return _Header(f"{wide}x{high}, over {_MOST_PIXELS} pixels")
      least, most = checked.LEAST_SIDE, checked.MOST_SIDE
      if not resize and (min(im.size) < least or max(im.size) > most):
        return _Header(f"{wide}x{high}, not {least} to {most}; try resize=32")
      mode = "RGBA" if "transparency" in im.info else _MODES[im.mode]
      turned = im.getexif().get(_ORIENTATION, 1) != 1
      several = getattr(im, "n_frames", 1) > 1
      return _Header("", im.format, mode, im.size, several, turned)
  # Whatever a damaged file makes a parser raise.
  except Exception as error:  # noqa: BLE001
    return _Header(_line(error))


def _pixels(file: BinaryIO, mode: str, resize: int | None) -> np.ndarray:
  from PIL import Image

  with file:
    im = Image.open(file, "r", _FORMATS)
    if im.format == "PNG":
      # Its own sums, which decoding does not look at; Pillow then starts anew.
      im.verify()
      file.seek(0)
      im = Image.open(file, "r", ("PNG",))
    with im:
      im.seek(0)
      done = im if im.mode == mode else im.convert(mode)
      if resize:
        done = done.resize((resize, resize), Image.Resampling.BILINEAR)
      return np.asarray(done)


def _line(error: Exception) -> str:
  kind = type(error).__name__
  if kind == "UnidentifiedImageError":
    return "no PNG, JPEG or WebP"
  return " ".join(str(error).split())[:100] or kind


def _refuse(names: Sequence[str], wrong: Sequence[str], what: str) -> None:
  """Names the first five images with something wrong."""
  found = [(n, why) for n, why in zip(names, wrong, strict=True) if why]
  if not found:
    return
  shown = ", ".join(f"{name} ({why})" for name, why in found[:_SHOWN])
  more = ", ..." if len(found) > _SHOWN else ""
  hint = "; try resize=32" if "not all" in what else ""
  raise UserError(
    f"{len(found)} of {len(names)} images {what}: {shown}{more}{hint}."
  )


def _words(headers: Sequence[_Header], mode: str, resize: int | None) -> str:
  """How images were stored, and what was done with them."""
  formats = collections.Counter(header.format for header in headers)
  said = [f"{count} {name}" for name, count in sorted(formats.items())]
  if resize:
    said.append(f"resized to {resize}x{resize}, bilinear")
  several = sum(header.several for header in headers)
  if several:
    said.append(f"the first frame of {several}")
  turned = sum(header.turned for header in headers)
  if turned:
    said.append(f"the orientation tags of {turned} ignored")
  if {header.mode for header in headers} != {mode}:
    said.append(f"all as {mode}")
  return ", ".join(said)
