"""``python -m hgs_toolkit.cli``, as torchrun starts it."""

from hgs_toolkit.cli.main import main

if __name__ == "__main__":
    main()
