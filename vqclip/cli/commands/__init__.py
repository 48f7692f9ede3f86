"""Define the commands: one file a command, named after it."""
