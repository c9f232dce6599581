"""The paper's theory as experiments: kernel fits, Theorem 1, Rademacher.

`kernel`, `expressivity` and `rademacher` are experiments that main runs, with
the fields of `config`; the others are their parts: `kernels` has a function a
kernel, `gram` their matrices, `solvers` and `cholesky` the fit.

May import: report, training, memorization, config, data, models, ops, storage,
runtime, corruptions.
"""
