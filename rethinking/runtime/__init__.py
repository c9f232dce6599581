"""The process and the machine that it runs on.

`backend` starts JAX, with the flags of `xla_flags`; `memory` and `paths` ask
the machine; `processes` joins several, `signals` hears when to stop; `cli` and
`console` are what a person types and sees, `errors` what a command ends with.

Of several processes (--multihost) each holds the whole data set and takes its
part of every batch; batch_size is that of all together, and only the first one
writes, compiled programs too, which the others read in the workdir's `programs`
when the job starts again. SIGTERM to any makes all save at the same step and
exit with 75; when one dies the others end within about a minute (JAX's
heartbeat). The same command continues: with the same layout to the same bits,
with another number of processes or devices with the same examples in the same
order.

May import: corruptions.
"""
