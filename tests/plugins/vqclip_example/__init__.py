"""An example of a package that adds a loss, a start and a drawer to vqclip; its pyproject.toml lists entry points."""
