"""fillets.py - the painted room of each level of Fish Fillets and the music that plays in it.

    python3 fillets.py ROOT     picture and track of each level (ROOT: usr/share/games/fillets-ng)
"""
import re
import sys
from collections import namedtuple
from pathlib import Path

Match = namedtuple("Match", "level picture track")      # relative to ROOT

ROOM = re.compile(r'createRoom\([^,]+,[^,]+,\s*"images/"\.\.codename\.\."/([^"]+)"')
MUSIC = re.compile(r'sound_playMusic\("(music/[^"]+\.ogg)"\)')


def first(pattern, *files):
    """A level may change its music; the first is what the room is entered with."""
    for file in filter(Path.is_file, files):
        found = pattern.search(file.read_text(encoding="utf-8", errors="replace"))
        if found:
            return found.group(1)
    return None


def matches(root):
    root = Path(root)
    for level in sorted((root / "script").glob("*")):
        picture = first(ROOM, level / "models.lua")
        track = first(MUSIC, level / "code.lua", level / f"demo_{level.name}.lua")
        if not picture or not track:
            continue
        match = Match(level.name, f"images/{level.name}/{picture}", track)
        if (root / match.picture).is_file() and (root / match.track).is_file():
            yield match


if __name__ == "__main__":
    for match in matches(sys.argv[1]):
        print("\t".join(match))
