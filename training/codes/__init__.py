"""Train the networks of codes, which are the VQGAN and the prior."""
