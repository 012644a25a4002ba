"""rtserver beside Node's socket.io, stock python-socketio and a bare C server on the same load."""
