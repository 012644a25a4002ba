"""Rooms as data: who is in them, what was said, what is allowed. No asyncio, no library; time is an argument."""
