"""An example package: a loss, a start, a drawer and a perceptor; its pyproject.toml lists entry points."""
