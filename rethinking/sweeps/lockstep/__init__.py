"""Runs of one shape, trained together in one program.

Each is the run that `train.run` makes, with labels, weights, order and files
of its own; they share the images and the program, which takes a step of every
run at once. A run that ends leaves its place to the next one.
"""

from rethinking.sweeps.lockstep.group import run
from rethinking.sweeps.lockstep.grouping import group_key, parameters, places

__all__ = ["group_key", "parameters", "places", "run"]
