"""One run or several, from configs to their summaries.

`run` is one run's whole. `loop` is the cycle of one run or several: train,
evaluate, save; a run has a slot of `slots`, the arrays that the programs are
given, and its own `journal`, the files that it leaves. `task` loads `examples`
and prepares their corruption. `step` is one update of a `state`, which knows no
devices, and `parallel` the same of many runs on many devices; `placement` and
`upload` put arrays there, `sampler` says which examples come when, `optim` is
the optimiser, `programs` builds what is compiled. `workdir` refuses another
run's folder; `metrics`, `summary` and `curves` say what came out.

The devices hold clean images and true labels, once. A step corrupts the
examples that it takes, by noise that is an argument of the program: a seed or a
level compiles nothing again, and several are a vmapped axis. Labels that depend
on the whole set come as given ones. Images are corrupted in the step where that
was measured to cost it at most 5 %, elsewhere at load, by the same op. With
pixel noise the order is crop, corrupt, augment, normalise; else corrupt labels,
augment, crop, normalise. `redraw=epoch` folds an example's own epoch into its
key.

Every example is used once an epoch. Batches are always full: epochs follow each
other in one stream, and what does not fill a batch is carried over into the
next epoch, so that 64 epochs of CIFAR-10 at batch 128 are the paper's 25,000
steps. Crop, whitening and dropout happen in the step. BatchNorm's statistics
are the global batch's and dropout is keyed by (step, example id), so one device
equals many. Dispatches end at absolute steps; a run stops and saves only there,
and one program serves every length, so that a resume runs what an undisturbed
run does.

May import: memorization, config, data, models, ops, storage, runtime,
corruptions.
"""
