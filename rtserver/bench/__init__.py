"""The load test behind `rtserver bench`: Socket.IO clients in one process, chat at a steady rate, latencies."""
