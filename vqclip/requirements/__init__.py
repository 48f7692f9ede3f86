"""List the files of weights that a Config needs, each with its role and source."""
