"""The operator's YAML file, the environment and the command line, made into one checked, frozen `Config`."""
