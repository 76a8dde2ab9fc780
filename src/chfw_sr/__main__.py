"""`python -m chfw_sr`: the same as `chfw-sr`."""

from chfw_sr.cli import main

if __name__ == "__main__":
    main()
