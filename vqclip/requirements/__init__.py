"""Which weights a Config needs, in which role, and where they lie."""
