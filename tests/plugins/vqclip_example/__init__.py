"""An example of a package that adds a loss, a start, a drawer and a perceptor to vqclip; its pyproject.toml lists entry points."""
