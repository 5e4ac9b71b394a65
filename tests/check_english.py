"""Finds turns of phrase that a reader stumbles over. Usage: check_english.py [FILE …]

Without arguments it reads every text file that git tracks. It prints ``file:line: phrase: line``
for each hit, and exits with 1 if there is one. A line that contains ``english: ok`` is skipped.
"""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

SUFFIXES = {".py", ".md", ".mjs", ".js", ".ts", ".html", ".yaml", ".toml", ".cfg", ".service"}
NAMES = {"Makefile", "Containerfile"}
EXEMPT = {
    *("tests/check_english.py", "tests/test_english.py"),  # they quote every phrase
    "rooms/page/uplot.js",  # it is uPlot's
}

PHRASES = [  # "_" is a gap between two words
    r"\b(?:he|his|him|himself)\b",  # a player, a client and an author are "they"
    r"(?<!there )\b(?:is|are|was|were)_no_(?!longer\b|(?:more|less|fewer|later|better)_than\b)\w+",
    r"\b(?:is|are|was|were|be)_had\b",
    r"\b(?:is|are|was|were)_to_be_\w+",
    r"\bso_(?:many|much)\b(?!(?:_\w+){0,3}_(?:that|as)\b)",
    r"\b(?:in|for|with|by|after)_so_long\b(?!_as\b)",
    r"\b(?:whoever|nobody's|of_ours|of_before|by_way_of)\b",
    r"(?<=; )(?:who|what)_(?!to\b)\w+",
]
# A sentence whose subject is a clause, such as "What comes is kept." (A question ends with "?".)
START = r"(?:^[ \t]*(?:(?:#|//|\*|-|<!--|/\*\*?) |\"\"\")?|[.!;:] )"
HEADLESS = START + r"((?:Who|What)_[^.?!:;|`]*)(?=[.!:;|`])"
GAP = r"(?:[ \t]|\n[ \t]*(?:(?:#|//|\*)[ \t]+)?)"  # a line break in a comment has a mark after it


def pattern(phrase: str, flags: int = 0) -> re.Pattern[str]:
    return re.compile(phrase.replace("_", GAP), re.MULTILINE | flags)


PATTERNS = [*(pattern(f"({phrase})", re.IGNORECASE) for phrase in PHRASES), pattern(HEADLESS)]


def hits(text: str) -> Iterator[tuple[int, str, str]]:
    """Yields the line's number, the phrase and the line, for each phrase in ``text``."""
    found = (match for one in PATTERNS for match in one.finditer(text))
    for start, phrase in sorted((match.start(1), match[1]) for match in found):
        number = text.count("\n", 0, start)
        line = text.splitlines()[number].strip()
        if "english: ok" not in line:
            yield number + 1, re.sub(GAP, " ", phrase)[:40], line


def main(names: list[str]) -> int:
    listed = subprocess.run(["git", "ls-files"], capture_output=True, text=True, check=True).stdout
    files = [Path(name) for name in names or listed.splitlines() if name not in EXEMPT]
    files = [file for file in files if file.suffix in SUFFIXES or file.name in NAMES]
    found = [(file, hit) for file in files for hit in hits(file.read_text(encoding="utf-8"))]
    sys.stdout.writelines(f"{file}:{hit[0]}: {hit[1]}: {hit[2]}\n" for file, hit in found)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
