"""What is said on the wire: event models, names, identifiers and the closed list of errors. Pure."""
