"""The load generator, its scenarios, and their report. See CONTRIBUTING.md for terms."""

from importlib.util import find_spec

if find_spec("hdrh") is None:
    raise ModuleNotFoundError("bench needs hdrhistogram: pip install 'lastcall[bench]'")
