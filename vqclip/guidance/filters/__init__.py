"""Filters of the drawn image: a file each, whose name is the filter's, with a dataclass of the same name.

No module here imports torch at its top level.
"""
