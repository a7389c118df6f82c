"""`python -m tandemkit.cli` is `./tandem`."""

from tandemkit.cli.main import main

if __name__ == "__main__":
    main()
