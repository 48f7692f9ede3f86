"""The frozen networks, where their weights lie, and how other people's files become ours."""
