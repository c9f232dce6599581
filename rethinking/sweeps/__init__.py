"""Many runs of one config: a figure's or a table's.

`run` does what a sweep's config asks, `grid` lists its runs, `rows` keeps
results.jsonl, `console` shows it; `lockstep` trains runs of one shape in one
program, `abreast` in threads beside each other.

May import: report, training, config, data, models, ops, storage, runtime,
corruptions.
"""
