"""Find, fetch, read and store files of weights, without building a network."""
