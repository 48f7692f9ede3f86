"""Read other programs' settings as configs."""
