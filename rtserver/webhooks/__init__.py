"""What backends are told: from an event to a delivery that was acknowledged, or is dead and listed."""
