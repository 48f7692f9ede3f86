"""Sample codes of a VQGAN with autoregressive transformers."""
