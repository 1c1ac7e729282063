"""gcompris.py - paintings and music of the world from GCompris' resources.

The paintings are puzzles: each board lists tiles, whose centres are fractions of the board's
width and height; laid side by side they are the whole painting again.
"""
import re
from collections import namedtuple

from images import Canvas, Tile
from rcc import Resource

PAINTINGS = "/gcompris/src/activities/paintings/resource/"
WORLD = "/gcompris/src/activities/explore_world_music/resource/music/"

# ------------------------------------------------------------------ paintings

# "instruction" of a board names painter, title and year.
TITLE = re.compile(r'qsTr\("([^"]*)"')
BOARD = re.compile(r'bg\.svg.*?"width"\s*:\s*(\d+).*?"height"\s*:\s*(\d+)', re.S)
TILE = re.compile(r'"pixmapfile"\s*:\s*"([^"]+\.webp)".*?"x"\s*:\s*"?([\d.]+).*?"y"\s*:\s*"?([\d.]+)', re.S)

Painting = namedtuple("Painting", "title png")


def stitch(resource, board):
    width, height = map(int, BOARD.search(board).groups())
    placed = []
    for file, x, y in TILE.findall(board):
        t = Tile(resource.read(PAINTINGS + file))
        placed.append((t, round(float(x) * width - t.width / 2), round(float(y) * height - t.height / 2)))
    left, top = min(x for _, x, _ in placed), min(y for _, _, y in placed)
    right, bottom = max(x + t.width for t, x, _ in placed), max(y + t.height for t, _, y in placed)
    canvas = Canvas(right - left, bottom - top)
    for tile, x, y in placed:
        canvas.lay(tile, x - left, y - top)
    return canvas.png()


def paintings(rcc):
    """Yields a Painting of each board; png() makes its picture."""
    resource = Resource(rcc)
    for file in resource.matching("_0.qml"):
        board = resource.read(file).decode("utf-8")
        yield Painting(TITLE.search(board).group(1), lambda board=board: stitch(resource, board))


# ------------------------------------------------------------------ music of the world

Work = namedtuple("Work", "name licence author caption")
Clip = namedtuple("Clip", "picture track")

# From the resource's own list of sources, all of them on Wikimedia Commons or archive.org.
CLIPS = [
    Clip(Work("africa", "public-domain", "Kenneth Ritchards", "Bata drums"),
         Work("africa", "CC0-1.0", "Michi Henning", "Djembe accompaniment")),
    Clip(Work("america", "CC-BY-2.0", "Tom Harpel", "Practice at Onalaska"),
         Work("america", "CC-BY-3.0", "Karel Schmiedberger", "Rock and roll")),
    Clip(Work("australia", "CC-BY-2.0", "Steve Evans", "Australian Aboriginal culture"),
         Work("australia", "public-domain", "Jouke Kooistra and Rob Tol", "Didgeridoo")),
    Clip(Work("orchestra", "public-domain", "ABC Informática", "Orchestra of the 18th century"),
         Work("beethoven", "CC0-1.0", "Drummyfish", "Beethoven, Symphony No. 9, second movement")),
    Clip(Work("ireland", "CC-BY-2.0", "candyschwartz", "Irish folk musicians"),
         Work("ireland", "CC-BY-3.0", "peakfiddler", "The Wind that Shakes the Barley")),
    Clip(Work("italy", "CC0-1.0", "SoriamuséuM", "Opera"),
         Work("italy", "public-domain", "Enrico Caruso; restored by Adam Cuerden", "Handel, Ombra mai fu")),
    Clip(Work("japan", "public-domain", "takami torao", "Taiko drummers"),
         Work("japan", "CC0-1.0", "Scott Harding", "Taiko")),
    Clip(Work("mexico", "CC0-1.0", "Elidealista", "Mariachi in Guadalajara"),
         Work("mexico", "public-domain", "Mex-Django", "Mexican anthem by Mariachi México de Pepe Villa")),
    Clip(Work("middleeast", "CC0-1.0", "Metropolitan Museum of Art", "Dutar"),
         Work("middleeast", "public-domain", "Safiye Ayla", "Kâtibim (Üsküdar'a gider iken)")),
]


def world(rcc):
    """Yields (clip, picture's bytes, track's bytes)."""
    resource = Resource(rcc)
    for clip in CLIPS:
        yield (clip, resource.read(f"{WORLD}{clip.picture.name}.webp"),
               resource.read(f"{WORLD}{clip.track.name}.ogg"))
