"""`python -m vqclip`: the same as the console script."""

from vqclip.cli.app import main

if __name__ == "__main__":
    main()
