"""sources.py - the Debian packages that the data set is made of, and who allows what.

    python3 sources.py LEVEL        the names of the packages of a level: small, standard, all

Licences are SPDX names.  They come from usr/share/doc/PACKAGE/copyright and from the files' own tags and
licence texts, read package by package: a new package needs a row in PACKAGES and its rows in MUSIC.
"""
import fnmatch
import sys
from collections import namedtuple

LEVELS = ("small", "standard", "all")

Package = namedtuple("Package", "name levels licence what")

WESNOTH = "GPL-2.0-or-later"
CAMPAIGNS = {
    "did": "Descent Into Darkness", "dm": "Delfador's Memoirs", "dw": "Dead Water", "ei": "Eastern Invasion",
    "httt": "Heir to the Throne", "l": "Liberty", "low": "Legend of Wesmere", "nr": "Northern Rebirth",
    "sof": "Sceptre of Fire", "sota": "Secrets of the Ancients", "sotbe": "Son of the Black Eye",
    "thot": "The Hammer of Thursagan", "trow": "The Rise of Wesnoth", "tsg": "The South Guard",
    "ttb": "A Tale of Two Brothers", "utbs": "Under the Burning Suns",
}

PACKAGES = [
    Package("gcompris-qt-data", LEVELS, "GPL-3.0-or-later, and as listed below",
            "old masters and prints cut into puzzles; music of the world with pictures"),
    Package("fillets-ng-data", ("small", "all"), "GPL-2.0-only",
            "Fish Fillets' painted rooms, and the music that plays in each"),
    Package("wesnoth-1.16-music", LEVELS[1:], WESNOTH, "orchestral music of The Battle for Wesnoth"),
    *(Package("wesnoth-1.16-" + short, LEVELS[1:], WESNOTH, f"campaign: portraits and paintings of {name}")
      for short, name in CAMPAIGNS.items()),
    Package("singularity-music", LEVELS[1:], "CC-BY-SA-3.0", "electronic music of Endgame: Singularity"),
    Package("wesnoth-1.16-data", ("all",), WESNOTH, "portraits that several campaigns share; the tutorial"),
    Package("ufoai-music", ("all",), "a licence per track", "music of UFO: Alien Invasion"),
    Package("warzone2100-music", ("all",), "a licence per album", "music of Warzone 2100"),
    Package("colobot-common-sounds", ("all",), "GPL-3.0-or-later", "music of Colobot"),
    Package("unknown-horizons", ("all",), "GPL-2.0-or-later", "music of Unknown Horizons"),
    Package("flare-game", ("all",), "CC-BY-SA-3.0+", "music of Flare"),
    Package("hyperrogue-music", ("all",), "CC-BY-SA-3.0", "music of HyperRogue"),
]

# Whose music it is under which licence: the first row whose pattern fits "PACKAGE:file".  An author
# that is None is named in the file itself.  "+" is SPDX's "or any later version".
Music = namedtuple("Music", "pattern licence author")

LUPUS = "CC-BY-SA-3.0+ OR GPL-2.0-or-later"

MUSIC = [
    Music("wesnoth-1.16-music:*", WESNOTH, None),
    Music("fillets-ng-data:*", "GPL-2.0-only", "ALTAR interactive"),
    Music("singularity-music:*", "CC-BY-SA-3.0", "Max McCracken (Maxstack)"),
    Music("ufoai-music:alBasrahM.ogg", "public-domain", "Golgotha"),
    Music("ufoai-music:greecei.ogg", "public-domain", "Golgotha"),
    Music("ufoai-music:turinItalyM.ogg", "public-domain", "Golgotha"),
    Music("ufoai-music:David*", "CC-BY-3.0", "David Reeves (Destructavator)"),
    Music("ufoai-music:van_*", "CC-BY-3.0", "Manuel Marino (Vanethian)"),
    Music("ufoai-music:azrael1.ogg", "CC-BY-3.0", "azrael1322"),
    Music("ufoai-music:karlmacklin_*", "CC-BY-3.0", "Karl Macklin"),
    Music("ufoai-music:Crystan-*", "CC-BY-SA-3.0", "Christian Hoffmann (Crystan)"),
    Music("ufoai-music:Marine*", "CC-BY-SA-3.0", "Marine, Baklund"),
    Music("ufoai-music:TheThings-*", "CC-BY-SA-3.0", "Slippycurb"),
    Music("ufoai-music:dynamictest-*", "CC-BY-SA-3.0", "the UFO:AI team"),
    Music("ufoai-music:returnjourney.ogg", "CC-BY-SA-3.0", "the UFO:AI team"),
    Music("ufoai-music:Psymong*", "GPL-2.0-only", "Simon Green (Psymong)"),
    Music("ufoai-music:*", "GPL-2.0-only", "the UFO:AI team"),
    Music("warzone2100-music:*/track3_enhanced.opus", "GPL-2.0-or-later",
          "LupusMechanicus, after Martin Severn"),
    Music("warzone2100-music:albums/aftermath_soundtrack/*", LUPUS, "LupusMechanicus"),
    Music("warzone2100-music:albums/legacy_soundtrack/*", LUPUS, "LupusMechanicus"),
    Music("warzone2100-music:*", "GPL-2.0-or-later", "Martin Severn"),
    Music("colobot-common-sounds:*", "GPL-3.0-or-later", None),
    Music("unknown-horizons:*", "GPL-2.0-or-later", None),
    Music("flare-game:*", "CC-BY-SA-3.0+", "Brandon Morris, remaxim"),
    Music("hyperrogue-music:hr3-*", "CC-BY-SA-3.0", "Shawn Parrotte"),
    Music("hyperrogue-music:hr-domina-*", "CC-BY-SA-3.0", "Lincoln Domina"),
    Music("hyperrogue-music:hr-savino-*", "CC-BY-SA-3.0", "Will Savino"),
]

# In order of how little they ask for.
KINDS = [("public domain, CC0", ("public-domain", "CC0-")), ("CC BY", ("CC-BY-3", "CC-BY-2", "CC-BY-4")),
         ("CC BY-SA", ("CC-BY-SA-",)), ("GPL", ("GPL-",))]


def music_rights(package, file):
    for row in MUSIC:
        if fnmatch.fnmatchcase(f"{package}:{file}", row.pattern):
            return row
    raise LookupError(f"{package}: no licence known for {file}: add it to scripts/data/sources.py")


def kind_of(licence):
    for kind, beginnings in KINDS:
        if licence.startswith(beginnings):
            return kind
    raise LookupError(f"unknown kind of licence: {licence}")


def packages(level):
    return [p for p in PACKAGES if level in p.levels]


if __name__ == "__main__":
    print("\n".join(p.name for p in packages(sys.argv[1])))
