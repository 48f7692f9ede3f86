"""Train and measure the towers of a CLIP."""
