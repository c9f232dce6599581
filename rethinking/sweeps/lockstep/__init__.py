"""Runs of one shape, trained together in one program.

Each is the run that `train.run` makes, with labels, weights, order and files
of its own; they share the images and the program, which takes a step of every
run at once. A run that ends leaves its place to the next one.
"""
