"""Many runs of one config: a figure's or a table's.

`run` does what a sweep's config asks, `grid` lists its runs, `cells` makes
them, `rows` keeps results.jsonl, `console` shows it, `ends` checks all before
the first and draws after the last; `groups` says which train in one program and
which side by side, in `threads`. `shares` deals them to commands on several
machines, `sharing` is one of these, `merging` puts rows together. Of runs on
subsets `estimate` says what they will take, `causal` which test examples lean
on which train examples, and `repair` trains on better labels.

Runs of the same program, whatever their seeds and levels, are vectorized where
that was measured to win: small dense networks on a CPU
(configs/results/benchmark.md); and all dense networks on accelerators, where it
is expected to and was never measured. Others follow each other, save that on a
CPU small networks, a step of which keeps one core busy, run in threads, each to
the same bits as alone. `runs_at_once` overrides the choice. The same command
again, after whatever ended the first, loses no finished cell and repeats none.

May import: report, training, memorization, config, data, models, ops, storage,
runtime, corruptions.
"""
