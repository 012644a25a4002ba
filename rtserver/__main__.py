"""``python -m rtserver``: the same as the command ``rtserver``."""

from rtserver.cli.main import main

if __name__ == "__main__":
    main()
