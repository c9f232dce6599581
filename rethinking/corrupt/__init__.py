"""The command that writes a config's corrupted data to a folder."""
