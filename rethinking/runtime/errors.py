"""What a command tells in one line: refused, failed, stopped."""

import os


class UserError(ValueError):
  """Input that is refused: says what was given, what is allowed, what to do.

  Commands print it as one line without a traceback and exit with code 2. What
  can't be printed, as a line's end in the name of a file, is escaped.
  """

  def __init__(self, message: str):
    super().__init__(
      "".join(c if c.isprintable() else repr(c)[1:-1] for c in message)
    )


class Diverged(RuntimeError):
  """The loss is no longer finite.

  Attributes:
    step: the first step whose loss was not.
  """

  def __init__(self, step: int, last_good: int | None):
    kept = (
      "no checkpoint was saved before"
      if last_good is None
      else f"the last good checkpoint is that of step {last_good}"
    )
    super().__init__(
      f"The loss at step {step} is not finite; {kept}. Try a smaller "
      "learning_rate."
    )
    self.step = step


class Stopped(RuntimeError):
  """A signal ended the run after its state was saved.

  Args:
    what: what was saved, such as "at step 12".
    workdir: where.

  Attributes:
    what: the same.
  """

  def __init__(self, what: str, workdir: str | os.PathLike[str]):
    super().__init__(
      f"Stopped and saved {what}; the same command with "
      f"--workdir={workdir} continues there."
    )
    self.what = what
