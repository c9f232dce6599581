"""A config's corrupted data set as files, for any framework.

`contents` makes the arrays, `write` the folder, `verify` compares one; the
command is `python -m rethinking.export`.

May import: report, training, memorization, config, data, models, ops, storage,
runtime, corruptions.
"""
