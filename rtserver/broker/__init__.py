"""What joins nodes: offsets, history, and delivery on every node."""
