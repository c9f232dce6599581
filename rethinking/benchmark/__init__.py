"""How fast this machine runs the project, beside PyTorch and its own limits.

`python -m rethinking.benchmark [what ...]` prints tables and writes
`benchmark.json` and `benchmark.svg`.

May import: report, training, config, data, models, ops, storage, runtime,
corruptions.
"""
