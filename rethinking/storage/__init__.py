"""What is kept in files, local or on an object store.

`files` replaces and appends whole; `jsonl`, `events` (TensorBoard),
`checkpoint` and `plots` build on it. `checksums` finds damage, `lock` keeps a
second command out of a workdir.

May import: runtime, corruptions.
"""
