"""`python -m geomask`, for where the console script is not on the path."""

from geomask.cli import main

main()
