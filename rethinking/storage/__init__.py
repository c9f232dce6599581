"""What is kept in files, local or on an object store.

`files` replaces and appends whole, `reading` reads no more than expected;
`jsonl`, `tables` (Markdown, CSV), `events` (TensorBoard), `checkpoint` and
`plots` build on them. `checksums` finds damage, `lock` keeps a second command
out of a workdir. What a run could not have left is refused where it is known:
`config.checks.trouble`, `training.metrics.trouble`; arrays of others are read
by `corruptions.array_files`.

May import: runtime, corruptions.
"""
