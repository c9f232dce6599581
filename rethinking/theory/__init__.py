"""The paper's theory as experiments: kernel fits, Theorem 1, Rademacher.

`kernel`, `expressivity` and `rademacher` are experiments that main runs; the
others are their parts.

May import: report, training, memorization, config, data, models, ops, storage,
runtime, corruptions.
"""
