"""`python -m localembed` is the command line."""

from localembed.cli.main import main

if __name__ == "__main__":
    main()
