"""List the files of weights that a Config needs, each with its role and source, and the files that it names."""
