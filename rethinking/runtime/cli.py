"""Command lines: the config flag, and one line for each user's mistake."""

import argparse
import functools
import importlib.util
import os
import pathlib
import re
import sys
import traceback
import warnings
from collections.abc import Callable, Iterable
from typing import NoReturn

from absl import flags
from ml_collections import ConfigDict, config_flags

from rethinking.runtime import output, processes, signals
from rethinking.runtime.allowed import choose
from rethinking.runtime.errors import UserError

FINISHED, FAILED, REFUSED, STOPPED = 0, 1, 2, 75

_NONE = re.compile(r"--?config\.(\w+)=None$")

_CONFIG = config_flags.DEFINE_config_file(
  "config",
  None,
  "Config file and variant, such as configs/digits.py:random_labels,seed=1. "
  "It is Python code that will be run. Single fields: --config.FIELD=VALUE.",
  lock_config=True,
)


def overridden() -> list[str]:
  """Names the fields that flags set, in the form FIELD or FIELD.FIELD."""
  flag = flags.FLAGS["config"]
  return list(flag.override_values) if flag.present else []


class Parser(argparse.ArgumentParser):
  """Of commands without a config; what it refuses is a `UserError`."""

  AS_WRITTEN = argparse.RawDescriptionHelpFormatter

  def error(self, message: str):
    raise UserError(f"{message}; see --help.")


def run(
  main: Callable[[ConfigDict], int],
  argv: list[str] | None = None,
  *,
  stopped: str = "Stopped before it began; nothing was changed.",
  more: Callable[[], str] | None = None,
  known_only: bool = False,
):
  """Parses the flags, calls `main(config)` and exits with its code.

  Args:
    main: takes the config (not yet resolved), returns an exit code: 0
      finished, 1 failed, 2 refused input, 75 stopped and resumable.
    argv: the command line; None: this process's.
    stopped: what to say when a signal ends it.
    known_only: whether to skip what is no flag of this command.
    more: what `--help` says after the flags.
  """
  argv = list(sys.argv if argv is None else argv)
  usage = sys.modules["__main__"].__doc__ or ""

  call(lambda: main(_parse(argv, usage, known_only, more)), stopped)


def call(act: Callable[[], int], stopped: str) -> NoReturn:
  """Exits with what a command returns; its failures are a line each.

  Args:
    act: the command.
    stopped: what to say when a signal ends it.
  """
  output.protect()
  said: set[str] = set()

  def show(message: Warning | str, *_: object) -> None:
    # A warning is for the user: a line of its own, no file and line number.
    # JAX names each program that a full disk has no room for.
    text = re.sub(r" entry for 'jit\w*'", "", str(message))
    if text.startswith("Error reading persistent compilation cache"):
      # JAX never replaces what is there.
      folder = sys.modules["jax"].config.jax_compilation_cache_dir
      text += f"; compiled anew each time until {folder} is removed"
    if text not in said:
      said.add(text)
      print(f"warning: {text}", file=sys.stderr)

  warnings.showwarning = show
  try:
    # Outside a training loop, which saves first.
    signals.end_at_once()
    hook = functools.partial(signals.swallowed, sys.unraisablehook)
    sys.unraisablehook = hook
    _check_folder()
    code = act()
  except UserError as error:
    print(f"error: {error}", file=sys.stderr)
    code = REFUSED
  except OSError as error:
    print(f"error: {error}", file=sys.stderr)
    code = FAILED
  except ValueError as error:
    # Of a variable such as JAX_ENABLE_X64, which `import jax` looks at.
    if "jax" in sys.modules or "jax._src" not in sys.modules:
      raise
    text = " ".join(str(error).split())
    print(
      f"error: The JAX_... variables must be ones that JAX takes, got {text}; "
      "try without.",
      file=sys.stderr,
    )
    code = REFUSED
  except KeyboardInterrupt:
    signals.ignore()
    print(stopped, file=sys.stderr)
    code = STOPPED
  signals.ignore()
  if code == STOPPED and not processes.started():
    # JAX would end what it computes first, or crash beside it.
    processes.exit_now(code)
  sys.exit(code)


def _check_folder() -> None:
  try:
    folder = str(pathlib.Path.cwd())
    if sys.getfilesystemencoding() == "utf-8":
      folder.encode()
  except FileNotFoundError as error:
    raise UserError(
      "The current folder must be there, got one that was removed; try another."
    ) from error
  except UnicodeEncodeError as error:
    raise UserError(
      "The current folder must have a name in UTF-8, got "
      f"{ascii(error.object)}; try another."
    ) from error


def _parse(
  argv: list[str], usage: str, known_only: bool, more: Callable[[], str] | None
) -> ConfigDict:
  """The config of a command line, its mistakes in one line each."""
  if {"--help", "-h", "--helpfull", "-help"} & set(argv[1:]):
    print(usage.strip())
    print("\nFlags:")
    own = ["rethinking.runtime.cli", sys.argv[0], "__main__", "rethinking.main"]
    by_module = flags.FLAGS.flags_by_module_dict()
    for name in own:
      for flag in by_module.get(name, []):
        print(f"  --{flag.name}: {flag.help}")
    if more is not None:
      print(f"\n{more()}")
    sys.exit(FINISHED)
  _check_paths([str(pathlib.Path.cwd()), *argv])
  argv = [_with_shipped(word) for word in argv]
  _check_config(argv)
  # The flag's own parsers take no None.
  none = {w: m[1] for w in argv if (m := re.match(_NONE, w))}
  argv = [word for word in argv if word not in none]
  try:
    rest = flags.FLAGS(argv, known_only=known_only)
  except (flags.Error, AttributeError, KeyError, TypeError) as error:
    text = " ".join(str(error).split())
    raise UserError(f"{text.rstrip('.')}; see --help.") from error
  if len(rest) > 1 and not known_only:
    raise UserError(f"A flag must begin with --, got {rest[1]!r}; try --help.")
  if _CONFIG.value is None:
    raise UserError(
      "--config must be given, got none; try "
      "--config=configs/digits.py:random_labels."
    )
  if "variant" in overridden():
    raise UserError(
      "The variant must be after the config's path, got --config.variant, "
      "which changes the name alone; try configs/digits.py:random_labels."
    )
  with _CONFIG.value.ignore_type():
    for field in none.values():
      _CONFIG.value[field] = None
  return _CONFIG.value


def _check_paths(words: Iterable[str]) -> None:
  """Refuses paths that JAX's writers would spell otherwise than Python."""
  if sys.getfilesystemencoding() == "utf-8":
    return
  for word in words:
    if not word.isascii():
      raise UserError(
        f"A folder must be named in ASCII where the locale is not UTF-8, got "
        f"{ascii(word)}; try PYTHONUTF8=1, or LC_ALL=C.UTF-8."
      )


def load(text: str) -> ConfigDict:
  """Returns the config of FILE:VARIANT, as --config would have it.

  Args:
    text: "configs/NAME.py:VARIANT" is the package's own where there is no
      folder `configs`.

  Raises:
    UserError: where there is no such file, or it fails.
  """
  return _load(*_with_shipped(text).partition(":")[::2])


def _with_shipped(word: str) -> str:
  """Where there is no folder `configs`, the package's own stands for it."""
  match = re.match(r"(--?config=)?(configs/\w+\.py)(?=:|$)", word)
  if match is None or os.path.exists(match[2]):  # noqa: PTH110
    return word
  # In an installed package inside it, in a checkout beside it.
  package = pathlib.Path(__file__).parents[1]
  for path in (package / match[2], package.parent / match[2]):
    if path.is_file():
      return f"{match[1] or ''}{path}{word[match.end() :]}"
  return word


def _check_config(argv: list[str]) -> None:
  """Loads the config once by hand.

  The flag's own parser keeps a missing file silent until the first field is
  read, wraps what a config file raises in a traceback, and says of an unknown
  field only its name.
  """
  config = None
  for flag, following in zip(argv, [*argv[1:], ""], strict=True):
    match = re.fullmatch(r"--?config(?:=(.*))?", flag, re.DOTALL)
    if match is None:
      continue
    given = following if match[1] is None else match[1]
    config = _load(*given.partition(":")[::2])
  for flag in argv if config is not None else ():
    match = re.match(r"--?(?:no)?config\.([\w.]+)", flag)
    inside, above = config, "field"
    for name in match[1].split(".") if match is not None else ():
      # Grids have names, and each of them axes.
      if isinstance(inside, ConfigDict):
        choose(above, name, inside)
        inside, above = inside[name], f"part of {name}"


def _load(path: str, variant: str) -> ConfigDict:
  """The config of a file's variant; whatever it raises in one line."""
  # pathlib raises for a name that is too long.
  if not os.path.isfile(path):  # noqa: PTH113
    raise UserError(
      f"--config must be a config file, got {path!r}, which is not there; try "
      "--config=configs/digits.py:random_labels."
    )
  spec = importlib.util.spec_from_file_location("config", path)
  if spec is None or spec.loader is None:
    raise UserError(
      f"A config must end in .py, got {path!r}; try a Python file."
    )
  module = importlib.util.module_from_spec(spec)
  try:
    spec.loader.exec_module(module)
    if not hasattr(module, "get_config"):
      raise UserError(
        f"A config must have get_config(), got {path!r} without; try another."
      )
    config = module.get_config(*([variant] if variant else []))
  except UserError:
    raise
  except Exception as error:
    frames = traceback.extract_tb(error.__traceback__)
    lines = [f.lineno for f in frames if f.filename == spec.origin]
    # A file that cannot be parsed has no frame yet.
    line = lines[-1] if lines else getattr(error, "lineno", None)
    raise UserError(
      f"The config file {path!r} fails{f' in line {line}' if line else ''} "
      f"({type(error).__name__}: {' '.join(str(error).split())}); fix it."
    ) from error
  if not isinstance(config, ConfigDict):
    raise UserError(
      f"get_config() of {path!r} must return a ConfigDict, got a "
      f"{type(config).__name__}; try what rethinking.config.parse gives."
    )
  return config
