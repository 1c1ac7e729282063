"""collect.py - from unpacked packages to a data set: collect.py DIR, for scripts/fetch_data.

Reads DIR/root, and writes
    artworks/       pictures, with flat names; what was transparent is black
    music/          tracks of ten seconds or more
    pairs.csv       artworks with the music they were meant for
    tracks.csv      all music, for training that needs no artworks
    tracks-free.csv what of it asks for no more than CC BY-SA does
    SOURCES.md      what it is, and who allows what
of whatever packages are there.  Files are links where possible.  Every file appears whole; those that
are there already stay.
"""
import csv
import functools
import hashlib
import io
import mmap
import os
import re
import struct
import subprocess
import sys
import zipfile
from collections import Counter, namedtuple
from pathlib import Path

import fillets
import gcompris
import images
import ogg
import report
import sources
import splits
import wesnoth

SHORTEST = 10.0                         # seconds: shorter ones are jingles, no music to learn from
NOT_MUSIC = ("wesnoth-silence.ogg", "flare-wind_ambient.ogg")

Artwork = namedtuple("Artwork", "name caption licence source")
Track = namedtuple("Track", "name caption licence source author seconds split package")
Pair = namedtuple("Pair", "artwork track split")


# ------------------------------------------------------------------ files

def flat(*parts):
    """A file name of letters that no shell or table minds."""
    return re.sub(r"-{2,}", "-", re.sub(r"[^A-Za-z0-9._-]+", "-", "-".join(parts)))


def same_age(path, source):
    """What was made from a file carries its time: an upgraded package makes it anew."""
    return path.exists() and path.stat().st_mtime_ns == source.stat().st_mtime_ns


def write_whole(path, data, source=None):
    partial = path.with_name(f".{path.name}.partial")
    partial.write_bytes(data)
    if source:
        os.utime(partial, ns=(source.stat().st_atime_ns, source.stat().st_mtime_ns))
    os.replace(partial, path)


def link(path, source):
    if same_age(path, source):
        return
    partial = path.with_name(f".{path.name}.partial")
    partial.unlink(missing_ok=True)
    try:
        os.link(source, partial)
    except OSError:                     # another file system, or one without links
        write_whole(path, source.read_bytes(), source)
        return
    os.replace(partial, path)


def make(path, source, content):
    """`content()` gives the bytes; `source` is the file they come from."""
    if not same_age(path, source):
        write_whole(path, content(), source)


def digest(path):
    return hashlib.sha256(path.read_bytes()).digest()


# ------------------------------------------------------------------ the set

class Set:
    def __init__(self, folder):
        self.folder, self.share = Path(folder), Path(folder) / "root/usr/share"
        self.artworks, self.tracks, self.pairs = {}, {}, {}
        self.by_content = {}            # an artwork's bytes -> its name
        self.counts = Counter()
        for name in ("artworks", "music"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)

    def add_artwork(self, name, source, caption, licence, credit, content=None):
        """Returns the artwork's name: that of an earlier one if they are the same to the byte."""
        path = self.folder / "artworks" / name
        if name in self.artworks:
            return name
        if content is None and images.has_alpha(source):
            content = functools.partial(images.on_black, source)
        if content:
            make(path, source, content)
        else:
            link(path, source)
        first = self.by_content.setdefault(digest(path), name)
        if first == name:
            self.artworks[name] = Artwork(name, caption, licence, credit)
        else:
            path.unlink()
        return first

    def add_track(self, name, source, package, file, rights=None, caption=None, content=None):
        """Returns the track's name, or None when it is not for training."""
        if name in self.tracks or name in NOT_MUSIC:
            return name if name in self.tracks else None
        path = self.folder / "music" / name
        if content:
            make(path, source, content)
        else:
            link(path, source)
        with open(path, "rb") as f, mmap.mmap(f.fileno(), 0, access=mmap.ACCESS_READ) as data:
            sound = ogg.read(data)
        if sound.seconds < SHORTEST:
            path.unlink()
            return None
        rights = rights or sources.music_rights(package, file)
        author = rights.author or sound.tags.get("artist") or "unknown"
        title = sound.tags.get("title") or path.stem.split("-", 1)[1].replace("_", " ")
        caption = caption or ", ".join(filter(None, (title, sound.tags.get("genre"))))
        self.tracks[name] = Track(name, caption, rights.licence, f"{package}: {file}", author, sound.seconds,
                                  splits.of_track(name), package)
        return name

    def add_pair(self, artwork, track, *more):
        """`more`: sides that artwork and music come from.  Counts what is dropped."""
        self.counts["listed"] += 1
        if track is None:
            self.counts["silent"] += 1
            return
        split = splits.agreed(self.tracks[track].split, *more)
        if (artwork, track) in self.pairs:
            self.counts["repeated"] += 1
        elif split is None:
            self.counts["crossing"] += 1
        else:
            self.pairs[artwork, track] = Pair(artwork, track, split)

    def check(self):
        """Nothing on two sides, whatever the tables say."""
        side = {}
        for pair in self.pairs.values():
            for name in (pair.artwork, pair.track):
                if side.setdefault(name, pair.split) != pair.split:
                    raise ValueError(f"{name} is in two splits: {side[name]} and {pair.split}")


# ------------------------------------------------------------------ collections

def words(name):
    return re.sub(r"[-_/]+", " ", name)


def add_wesnoth(data, root):
    def track(name):
        return data.add_track(flat("wesnoth", name), root / "core/music" / name, "wesnoth-1.16-music", name)

    for file in sorted((root / "core/music").glob("*.ogg")):
        track(file.name)
    owner = {}                          # of an artwork: the campaign that has it first
    for match in wesnoth.matches(root):
        campaign, (place, rest) = match.scenario.split("/")[0], match.picture.split("/images/")
        place = place.split("/")[-1]
        name = data.add_artwork(flat("wesnoth", place, rest), root / match.picture,
                                f"{words(rest.rsplit('.', 1)[0])}, {words(place)}", sources.WESNOTH,
                                f"wesnoth-1.16: {match.picture}")
        owner.setdefault(name, place)
        data.add_pair(name, track(match.track), splits.of_campaign(campaign), splits.of_campaign(owner[name]))


def add_fillets(data, root):
    def track(path):
        return data.add_track(flat("fillets", path.name), path, "fillets-ng-data", path.name)

    for file in sorted((root / "music").glob("*.ogg")):
        track(file)
    for match in fillets.matches(root):
        name = data.add_artwork(flat("fillets", match.level + ".png"), root / match.picture,
                                f"{words(match.level)}, room", "GPL-2.0-only",
                                f"fillets-ng-data: {match.picture}")
        data.add_pair(name, track(root / match.track))


def add_world(data, rcc):
    for clip, picture, sound in gcompris.world(rcc):
        image, song = clip.picture, clip.track
        artwork = data.add_artwork(f"world-{image.name}.webp", rcc, image.caption, image.licence,
                                   f"gcompris-qt-data: {image.name}.webp by {image.author}", lambda: picture)
        track = data.add_track(f"world-{song.name}.ogg", rcc, "gcompris-qt-data", f"{song.name}.ogg", song,
                               song.caption, lambda: sound)
        data.add_pair(artwork, track)


def add_paintings(data, rcc):
    for painting in gcompris.paintings(rcc):
        name = flat("painting", painting.title.replace("ü", "ue").rstrip("."))
        data.add_artwork(name + ".png", rcc, painting.title, "public-domain",
                         "gcompris-qt-data: paintings.rcc (the file: GPL-3.0-or-later)", painting.png)


def add_folder(prefix, package):
    def add(data, root):
        for file in sorted(f for f in root.glob("**/*") if f.suffix in (".ogg", ".opus")):
            inner = file.relative_to(root).as_posix()
            data.add_track(flat(prefix, inner.removeprefix("albums/")), file, package, inner)
    return add


def add_ufoai(data, pk3):
    with zipfile.ZipFile(pk3) as archive:
        for member in sorted(n for n in archive.namelist() if n.endswith(".ogg")):
            file = member.split("/")[-1]
            data.add_track(flat("ufoai", file), pk3, "ufoai-music", file,
                           content=functools.partial(archive.read, member))


COLLECTIONS = [                         # where it is under usr/share, and what takes it in
    ("games/wesnoth/*/data", add_wesnoth),
    ("games/fillets-ng", add_fillets),
    ("gcompris-qt/rcc/explore_world_music.rcc", add_world),
    ("gcompris-qt/rcc/paintings.rcc", add_paintings),
    ("games/singularity/music", add_folder("singularity", "singularity-music")),
    ("games/ufoai/base/0music.pk3", add_ufoai),
    ("games/warzone2100/music", add_folder("warzone2100", "warzone2100-music")),
    ("games/colobot/music", add_folder("colobot", "colobot-common-sounds")),
    ("unknown-horizons/content/audio/music", add_folder("unknown-horizons", "unknown-horizons")),
    ("games/flare/mods/fantasycore/music", add_folder("flare", "flare-game")),
    ("hyperrogue/music", add_folder("hyperrogue", "hyperrogue-music")),
]


# ------------------------------------------------------------------ tables

def table(header, rows):
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return text.getvalue().encode()


def both(a, b):
    return a if a == b else f"{a} AND {b}"


def pair_rows(data):
    for pair in sorted(data.pairs.values()):
        artwork, track = data.artworks[pair.artwork], data.tracks[pair.track]
        yield (f"artworks/{pair.artwork}", f"music/{pair.track}", pair.split, artwork.caption, track.caption,
               both(artwork.licence, track.licence), f"{artwork.source}; {track.source} by {track.author}")


def track_rows(tracks):
    for track in sorted(tracks):
        yield (f"music/{track.name}", track.split, track.caption, track.licence,
               f"{track.source} by {track.author}")


def write_tables(data):
    # No `start` column: a pair means all of its track.
    tracks = data.tracks.values()
    free = [t for t in tracks if sources.kind_of(t.licence) != "GPL"]
    pair_header = ("artwork", "track", "split", "caption_artwork", "caption_music", "licence", "source")
    track_header = ("track", "split", "caption_music", "licence", "source")
    for name, header, rows in (("pairs.csv", pair_header, pair_rows(data)),
                               ("tracks.csv", track_header, track_rows(tracks)),
                               ("tracks-free.csv", track_header, track_rows(free))):
        write_whole(data.folder / name, table(header, rows))


def main(folder):
    data = Set(folder)
    for place, add in COLLECTIONS:
        for found in sorted(data.share.glob(place)):
            add(data, found)
    if not data.tracks:
        raise ValueError(f"{data.share}: no music of any package this knows (scripts/data/sources.py)")
    data.check()
    write_tables(data)
    write_whole(data.folder / "SOURCES.md", report.sources_md(data).encode())
    print(report.summary(data))


if __name__ == "__main__":
    try:
        main(sys.argv[1])
    except (ValueError, LookupError, OSError, struct.error, subprocess.CalledProcessError) as e:
        print(f"collect.py: {e}", file=sys.stderr)
        sys.exit(74 if isinstance(e, OSError) else 65)
