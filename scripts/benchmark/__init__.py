"""What scripts/bench is made of: cases, what a fresh process measures of one, rounds of them, the table."""
