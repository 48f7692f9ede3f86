"""Terms of the loss beside the prompts: a file each, whose name is the term's, with a dataclass of the same name.

No module here imports torch at its top level.
"""
