"""One file per event: check, act, answer. Handlers do not know one another."""
