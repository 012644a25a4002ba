"""The contract, shown from outside: the real command, real clients, real sockets."""
