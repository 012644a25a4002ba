"""rtserver: a room server for socket.io-client, run from one config file."""

__version__ = "0.1.0"
