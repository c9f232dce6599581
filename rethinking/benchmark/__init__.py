"""How fast this machine runs the project, beside PyTorch and its own limits.

`python -m rethinking.benchmark [what ...]` prints tables and writes
`benchmark.json` and `benchmark.svg`. `steps` times networks, `jax_steps` makes
ours and `torch_steps` PyTorch's, in `subprocesses`; `parts`, `epochs`,
`corruption` and `vectorized` time the rest, `report` shows it; a new one is a
function of names to summaries and a line of `measures` in `__main__`. `compile`
needs no accelerator, `accelerator` uses minutes on one.

May import: report, training, memorization, config, data, models, ops, storage,
runtime, corruptions.
"""
