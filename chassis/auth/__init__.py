"""Who calls, what they may call, and how much of it."""
