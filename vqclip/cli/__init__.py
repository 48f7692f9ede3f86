"""Parse the command line, print, and exit; no other folder does."""
