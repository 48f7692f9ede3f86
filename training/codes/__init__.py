"""Train the networks of codes: the VQGAN, and the prior over its codes."""
