"""The one exception that means: the user can mend this."""


class UserError(ValueError):
  """Input that is refused: says what was given, what is allowed, what to do.

  Commands print it as one line without a traceback and exit with code 2.
  """
