"""python -m sgz IN [OUT]: the command sgz."""

from sgz.cli import run

if __name__ == "__main__":
    run()
