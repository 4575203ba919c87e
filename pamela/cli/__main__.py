"""``python -m pamela.cli`` is the `pamela` command."""

from pamela.cli.app import main

if __name__ == "__main__":
    main()
