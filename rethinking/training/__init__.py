"""One run, from the config to its summary.

`run` is the whole, `loop` the training loop. `task` is what is learned; `step`
one update, which knows no devices, and `parallel` the same on many; `placement`
is where arrays lie, `order` and `dispatches` which examples come when, `optim`
the optimiser; `programs` builds what is compiled. `workdir` refuses another
run's folder, `metrics`, `summary` and `curves` say what came out.

Every example is used once an epoch. Batches are always full: epochs follow each
other in one stream, and what does not fill a batch is carried over into the
next epoch, so that 64 epochs of CIFAR-10 at batch 128 are the paper's 25,000
steps. Data and its order lie on the devices whole; crop, whitening and dropout
happen in the step. BatchNorm's statistics are the global batch's and dropout is
keyed by (step, example id), so one device equals many. Dispatches end at
absolute steps; a run stops and saves only there, and one program serves every
length, so that a resume runs what an undisturbed run does.

May import: config, data, models, ops, storage, runtime, corruptions.
"""
