#!/usr/bin/env python3
"""Draws the picture of the README: what a terminal shows of a recording, as SVG.

    docs/picture.py target/debug/closewait > docs/incident.svg

Runs `closewait --from docs/incident.cw` in a pseudo-terminal. Only the standard library is used.
"""

import fcntl
import os
import pathlib
import pty
import re
import struct
import sys
import termios
import unicodedata
from xml.sax.saxutils import escape

COLUMNS, ROWS = 80, 24
# The size of a character, and of the margin, in pixels.
WIDTH, HEIGHT, MARGIN = 8.4, 18, 16
FOREGROUND, BACKGROUND = "#d6d9e0", "#1b1e26"
COLOURS = {31: "#ff6b68", 32: "#8ccf7e", 33: "#e5c76b", 36: "#6cc8d6"}


def screen(command):
    """The bytes that a command writes to a terminal."""
    pid, fd = pty.fork()
    if pid == 0:
        size = struct.pack("HHHH", ROWS, COLUMNS, 0, 0)
        fcntl.ioctl(1, termios.TIOCSWINSZ, size)
        os.execve(command[0], command, {"TERM": "xterm-256color", "LANG": "C.UTF-8"})
    output = b""
    while True:
        try:
            piece = os.read(fd, 65536)
        except OSError:  # The terminal has no more writer.
            break
        if not piece:
            break
        output += piece
    os.waitpid(pid, 0)
    return output.decode().replace("\r\n", "\n").rstrip("\n")


def runs(line):
    """Pieces of a line with one style: (column, text, CSS)."""
    column, colour, bold, dim = 0, FOREGROUND, False, False
    for piece in re.split(r"(\x1b\[[0-9;]*m)", line):
        codes = re.fullmatch(r"\x1b\[([0-9;]*)m", piece)
        if codes:
            for code in (int(code or 0) for code in codes[1].split(";")):
                if code == 0:
                    colour, bold, dim = FOREGROUND, False, False
                elif code == 1:
                    bold = True
                elif code == 2:
                    dim = True
                else:
                    colour = COLOURS.get(code, FOREGROUND)
            continue
        width = sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in piece)
        if piece.strip():
            style = f"fill:{colour}" + (";font-weight:bold" if bold else "") + (";opacity:.6" if dim else "")
            yield column, width, piece, style
        column += width


def svg(text, title):
    lines = text.split("\n")
    width, height = COLUMNS * WIDTH + 2 * MARGIN, (len(lines) + 1) * HEIGHT + 2 * MARGIN
    yield f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" width="{width:g}" role="img">'
    yield f"<title>{escape(title)}</title>"
    yield f'<rect width="100%" height="100%" rx="8" fill="{BACKGROUND}"/>'
    yield "<style>text{font:14px ui-monospace,'DejaVu Sans Mono',Menlo,Consolas,monospace;white-space:pre}</style>"
    lines = [f"# {title}"] + lines
    for number, line in enumerate(lines):
        y = MARGIN + (number + 0.75) * HEIGHT
        for column, cells, piece, style in runs(line):
            # The length keeps columns aligned in every font.
            yield (
                f'<text x="{MARGIN + column * WIDTH:g}" y="{y:g}" textLength="{cells * WIDTH:g}" '
                f'lengthAdjust="spacingAndGlyphs" style="{style}" xml:space="preserve">{escape(piece)}</text>'
            )
    yield "</svg>"


if len(sys.argv) != 2:
    sys.exit(__doc__)
recording = pathlib.Path(__file__).with_name("incident.cw")
command = [os.path.abspath(sys.argv[1]), "--from", str(recording)]
print("\n".join(svg(screen(command), "closewait")))
