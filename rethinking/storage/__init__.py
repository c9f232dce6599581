"""What is kept in files, local or on an object store.

`files` replaces and appends whole, `reading` reads no more than expected;
`jsonl`, `tables` (Markdown, CSV), `events` (TensorBoard), `checkpoint` and
`plots` build on them. `checksums` finds damage, `lock` keeps a second command
out of a workdir.

May import: runtime, corruptions.
"""
