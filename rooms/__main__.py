"""``python -m lastcall``: the same as the console script ``lastcall``."""

from lastcall.entry import main

main()
