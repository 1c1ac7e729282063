"""splits.py - what is trained on, and what is held out to choose by (validation) and to report (test).

No artwork, track or campaign may be on two sides: a portrait recurs through its campaign, and a
track through many.  A match whose campaign, artwork and track are not all on one side is dropped.

Wesnoth's sides are written down here, because a good choice keeps twice the matches of a random
one: of all that hold out two campaigns and about a tenth of the matches on each side, this one loses the
fewest matches and minutes of training.  Other tracks are drawn by the hash of their name, so that a
new package moves nothing.
"""
import hashlib
import re

TRAIN, VALIDATION, TEST = SPLITS = ("train", "validation", "test")

CAMPAIGNS = {
    VALIDATION: ["Liberty", "Northern_Rebirth"],
    TEST: ["Delfadors_Memoirs", "Legend_of_Wesmere"],
}

TRACKS = {
    VALIDATION: ["wesnoth-breaking_the_chains", "wesnoth-elvish-theme", "wesnoth-frantic",
                 "wesnoth-nunc_dimittis", "wesnoth-the_king_is_dead", "wesnoth-transience",
                 "fillets-rybky07", "fillets-rybky13", "world-mexico"],
    TEST: ["wesnoth-elf-land", "wesnoth-heroes_rite", "wesnoth-into_the_shadows", "wesnoth-love_theme",
           "wesnoth-revelation", "wesnoth-the_dangerous_symphony",
           "fillets-rybky02", "fillets-rybky10", "world-japan"],
}

DRAWN = ("singularity-", "ufoai-", "warzone2100-", "colobot-", "unknown-horizons-", "flare-", "hyperrogue-")
SHARE = 0.1         # of drawn tracks, for each of the sides that are held out


def listed(table, name):
    return next((split for split, names in table.items() if name in names), TRAIN)


def of_campaign(name):
    return listed(CAMPAIGNS, name)


def piece(track):
    """Arrangements of one piece of music are one piece."""
    stem = track.rsplit(".", 1)[0]
    return re.sub(r"[-_](enhanced|old)$", "", re.sub(r"(aftermath|legacy|original)_soundtrack-", "", stem))


def of_track(track):
    name = piece(track)
    if not name.startswith(DRAWN):
        return listed(TRACKS, name)
    draw = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big") / 2**64
    return VALIDATION if draw < SHARE else TEST if draw < 2 * SHARE else TRAIN


def agreed(*splits):
    """The side that all of them are on, or None."""
    return splits[0] if len(set(splits)) == 1 else None
