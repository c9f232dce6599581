"""The old name of `rethinking.export`; only the command is left."""
