"""Engine.IO v4: bytes to packets to sessions, and back. Knows nothing of rooms."""
