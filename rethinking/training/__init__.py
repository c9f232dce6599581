"""One run, from the config to its summary.

`run` is the whole, `loop` the training loop. `task` is what is learned;
`step` one update, which knows no devices, and `parallel` the same on many;
`order` and `dispatches` say which examples come when, `programs` builds what
is compiled. `workdir` refuses another run's folder, `metrics` and `summary`
say what came out.

May import: config, data, models, ops, storage, runtime, corruptions.
"""
