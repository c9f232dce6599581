"""Numbers as text."""

from __future__ import annotations

from rethinking.report.rows import Stat, Times


def spread(stat: Stat, form: str = ".2f") -> str:
  """A mean with its standard deviation, where there are any.

  >>> spread(Stat(10.0, 0.5, 3)), spread(Stat(10.0, None, 1))
  ('10.00 ± 0.50', '10.00')
  """
  if stat.mean is None:
    return "-"
  text = format(stat.mean, form)
  return text if stat.sd is None else f"{text} ± {format(stat.sd, form)}"


def time(times: Times) -> str:
  """A time to fit; a bound with the share of fitted runs if censored.

  >>> time(Times(30.0, None, 1, 3))
  '≥ 30.0 (1/3 fitted)'
  """
  if times.mean is None:
    return f"- ({times.fitted}/{times.total} fitted)"
  if times.censored:
    return f"≥ {times.mean:.1f} ({times.fitted}/{times.total} fitted)"
  return spread(Stat(times.mean, times.sd, times.total), ".1f")
