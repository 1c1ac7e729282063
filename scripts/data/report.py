"""report.py - SOURCES.md of a collected set, and the summary on the terminal."""
from collections import defaultdict

import sources
import splits

HEAD = """# Where this data set comes from

Debian packages, unpacked in `root/`; the full terms are in `root/usr/share/doc/*/copyright`.  `pairs.csv` and
`tracks.csv` name licence, source and author of every file.  Whoever publishes a model trained on this names
these sources; whoever passes files on keeps their licences.

"""


def minutes(tracks):
    return sum(t.seconds for t in tracks) / 60


def grouped(tracks, key):
    groups = defaultdict(list)
    for track in tracks:
        groups[key(track)].append(track)
    return groups


def rows(header, lines):
    table = (header, ["---"] * len(header), *lines)
    return "".join(f"| {' | '.join(map(str, line))} |\n" for line in table)


def package_rows(data):
    stamps = sorted(p.name for p in (data.folder / "root/.unpacked").glob("*.deb"))
    known = {p.name: p for p in sources.PACKAGES}
    for stamp in stamps:
        name, version = stamp.split("_")[:2]
        if name in known:
            yield name, version.replace("%3a", ":"), known[name].licence, known[name].what


def music_rows(tracks):
    groups = grouped(tracks, lambda t: (t.package, t.licence, t.author))
    for key, group in sorted(groups.items()):
        yield *key, len(group), f"{minutes(group):.1f}"


def kind_rows(tracks):
    groups = grouped(tracks, lambda t: sources.kind_of(t.licence))
    for kind, _ in sources.KINDS:
        if kind in groups:
            yield kind, len(groups[kind]), f"{minutes(groups[kind]):.1f}"


def picture_rows(data):
    groups = defaultdict(list)
    for artwork in data.artworks.values():
        groups[artwork.name.split("-")[0], artwork.licence].append(artwork)
    return [(*key, len(group)) for key, group in sorted(groups.items())]


def named_pictures(data):
    return [(a.name, a.caption, a.licence, a.source) for a in sorted(data.artworks.values())
            if a.name.startswith(("painting-", "world-"))]


def sources_md(data):
    tracks = data.tracks.values()
    return "\n".join([
        HEAD + "## Packages\n", rows(("package", "version", "licence", "what it is"), package_rows(data)),
        "## Music\n", rows(("package", "licence", "author", "tracks", "minutes"), music_rows(tracks)),
        rows(("kind of licence", "tracks", "minutes"), kind_rows(tracks)),
        "## Pictures\n", rows(("from", "licence", "pictures"), picture_rows(data)),
        rows(("file", "what", "licence", "source"), named_pictures(data))])


def split_line(data, split):
    pairs = [p for p in data.pairs.values() if p.split == split]
    tracks = [t for t in data.tracks.values() if t.split == split]
    artworks, paired = {p.artwork for p in pairs}, {p.track for p in pairs}
    return (f"  {split:<11}{len(pairs):5} pairs of {len(artworks):4} artworks and {len(paired):3} tracks;"
            f"  all music: {len(tracks):4} tracks, {minutes(tracks):6.1f} min")


def summary(data):
    c, tracks = data.counts, data.tracks.values()
    return "\n".join([
        f"{len(data.artworks)} artworks, {len(tracks)} tracks ({minutes(tracks):.0f} min)",
        f"{c['listed']} matches listed, less {c['repeated']} said before, {c['silent']} without music and "
        f"{c['crossing']} across splits: {len(data.pairs)} pairs",
        *(split_line(data, split) for split in splits.SPLITS)])
