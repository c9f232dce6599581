"""The process and the machine that it runs on.

`platform` starts JAX, `processes` joins several, `signals` hears when to
stop; `cli` and `console` are what a person types and sees, `errors` what a
command ends with.

May import: corruptions.
"""
