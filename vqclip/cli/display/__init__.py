"""Print progress and results."""
