"""wesnoth.py - which painting is on screen while which track plays, from the scenarios of Wesnoth.

    python3 wesnoth.py DATA     kind, scenario, picture, track of each match, tab-separated
                                (DATA: usr/share/games/wesnoth/1.16/data)

    part        a story page: its pictures, and the music that it starts or that goes on from an earlier page
    scenario    a portrait or painting that the scenario shows, and each track of its playlist
"""
import re
import sys
from collections import namedtuple
from pathlib import Path

Match = namedtuple("Match", "kind scenario picture track")      # picture: relative to the data folder

TRACK = re.compile(r"[\w\-]+\.ogg")
PLAYLIST = re.compile(r"\{(?:INTRO_AND_SCENARIO|SCENARIO|EXTRA_SCENARIO|APPEND)_MUSIC\s+([^}]*)\}")
INTRO = re.compile(r'\{INTRO_AND_SCENARIO_MUSIC\s+"?([\w\-]+\.ogg)')
PART = re.compile(r"\[part\](.*?)\[/part\]", re.S)
PART_MUSIC = re.compile(r'^\s*music=\s*"?([\w\-]+\.ogg)', re.M)
PART_PICTURE = re.compile(r"^\s*(?:background|file)=\s*(.+)$", re.M)
BLIT = re.compile(r"BLIT\(([^,)]+)")                            # a picture laid upon another
PICTURE = re.compile(r'(?:profile|portrait|background|file)=\s*"?([\w/\-. ]+\.(?:png|jpg|webp))')


class Data:
    def __init__(self, folder):
        self.folder = Path(folder)
        self.core = self.folder / "core"

    def track(self, name):
        return name if name and (self.core / "music" / name).exists() else None

    def picture(self, campaign, name):
        """A campaign's own pictures hide those of the core.  "~" begins transformations."""
        name = name.strip().strip('"').split("~")[0].split("(")[0]
        if not name:
            return None
        for images in (campaign / "images", self.core / "images"):
            for candidate in (name, re.sub(r"\.(png|jpg)$", ".webp", name)):
                if (images / candidate).is_file():
                    return (images / candidate).relative_to(self.folder).as_posix()
        return None

    def scenarios(self):
        for campaign in sorted((self.folder / "campaigns").glob("*")):
            for file in sorted(campaign.glob("scenarios/**/*.cfg")):
                yield campaign, file.stem, file.read_text(encoding="utf-8", errors="replace")


def pictures_of_part(part):
    for value in PART_PICTURE.findall(part):
        yield value
        yield from BLIT.findall(value)


def story_matches(data, campaign, text):
    intro = INTRO.search(text)
    playing = data.track(intro.group(1)) if intro else None
    for part in PART.findall(text):
        music = PART_MUSIC.search(part)
        playing = data.track(music.group(1)) or playing if music else playing
        for name in pictures_of_part(part):
            picture = data.picture(campaign, name)
            if picture and playing and "/story/" in picture:
                yield "part", picture, playing


def playlist_matches(data, campaign, text):
    tracks = {t for macro in PLAYLIST.findall(text) for t in TRACK.findall(macro) if data.track(t)}
    for name in PICTURE.findall(text):
        picture = data.picture(campaign, name)
        if picture and ("/portraits/" in picture or "/story/" in picture):
            for track in tracks:
                yield "scenario", picture, track


def matches(folder):
    data, found = Data(folder), set()
    for campaign, name, text in data.scenarios():
        for source in (story_matches, playlist_matches):
            for kind, picture, track in source(data, campaign, text):
                found.add(Match(kind, f"{campaign.name}/{name}", picture, track))
    return sorted(found)


if __name__ == "__main__":
    for match in matches(sys.argv[1]):
        print("\t".join(match))
