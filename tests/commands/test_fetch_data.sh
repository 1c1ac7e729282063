# scripts/data: from unpacked packages to pairs, on a few files that look like Wesnoth's.
. "$(dirname "$0")/common.sh"
command -v python3 > /dev/null || { echo "skipped: no python3"; exit 77; }

DATA=set/root/usr/share/games/wesnoth/1.16/data
mkdir -p "$DATA/core/music" set/root/.unpacked

little_endian()
{
    printf "$(printf '\\x%02x\\x%02x\\x%02x' $(($1 & 255)) $(($1 >> 8 & 255)) $(($1 >> 16 & 255)))"
}

# ogg FILE SECONDS ARTIST: the pages of an Ogg Vorbis file that tell its length, and no music.
ogg()
{
    {
        printf 'OggS\0\2%022d\1vorbis\0\0\0\0\2' 0; little_endian 44100; printf '\0'
        printf '\3vorbis\0\0\0\0\1\0\0\0'; little_endian $((7 + ${#3})); printf '\0ARTIST=%s' "$3"
        printf 'OggS\0\4'; little_endian $((44100 * $2)); printf '\0\0\0\0\0'
    } > "$1"
}

# campaign NAME SCENARIO: a scenario from standard input.
campaign()
{
    local folder=$DATA/campaigns/$1
    mkdir -p "$folder"/{scenarios,images/portraits,images/story}
    cat > "$folder/scenarios/$2.cfg"
}

# rows REGEX NUMBER: of pairs.csv.
rows()
{
    checks=$((checks + 1))
    [ "$(grep -c "$1" set/pairs.csv)" = "$2" ] || fail "not $2 rows with $1: $(cat set/pairs.csv)"
}

for track in knolls frantic elf-land; do ogg "$DATA/core/music/$track.ogg" 60 'A, "B" & C'; done
ogg "$DATA/core/music/victory.ogg" 5 'A'            # a jingle
ogg "$DATA/core/music/silence.ogg" 20 ''

campaign Heir_To_The_Throne 01_Train << 'END'
    {INTRO_AND_SCENARIO_MUSIC "knolls.ogg" frantic.ogg}
    {EXTRA_SCENARIO_MUSIC silence.ogg}{EXTRA_SCENARIO_MUSIC victory.ogg}{EXTRA_SCENARIO_MUSIC missing.ogg}
    [unit]
        profile=portraits/lisar.png~FL()
        portrait="portraits/absent.png"
    [/unit]
END
campaign Liberty 01_Validation << 'END'
    [story]
        [part]
            music=frantic.ogg
            background=story/island.jpg
        [/part]
        [part]
            background=story/map.png~BLIT(story/frontier.jpg,0,0)
        [/part]
    [/story]
END
campaign Legend_of_Wesmere 01_Test << 'END'
    {SCENARIO_MUSIC elf-land.ogg}
    profile=portraits/kalenz.png
    profile=portraits/the_same_as_lisar.png
END
cp "$FIXTURES/data/rgb.png" "$DATA/campaigns/Heir_To_The_Throne/images/portraits/lisar.png"
cp "$FIXTURES/data/rgb.png" "$DATA/campaigns/Legend_of_Wesmere/images/portraits/the_same_as_lisar.png"
cp "$FIXTURES/data/grey8.png" "$DATA/campaigns/Legend_of_Wesmere/images/portraits/kalenz.png"
cp "$FIXTURES/data/plain.jpg" "$DATA/campaigns/Liberty/images/story/island.jpg"
cp "$FIXTURES/data/grey.jpg" "$DATA/campaigns/Liberty/images/story/frontier.jpg"

collect() { python3 "$SOURCE/scripts/data/collect.py" set; }

works collect
exists set/SOURCES.md set/artworks/wesnoth-Liberty-story-island.jpg set/music/wesnoth-knolls.ogg
absent set/music/wesnoth-victory.ogg set/artworks/wesnoth-Legend_of_Wesmere-portraits-the_same_as_lisar.png
rows '' 5                                           # with the header
rows ',train,' 1
rows ',validation,' 2                               # the music goes on from part to part
rows ',test,' 1
rows '"portraits lisar, Heir To The Throne"' 1      # commas are quoted,
rows '"wesnoth-1.16: .* by A, ""B"" & C"' 4         # quotes are doubled
rows 'lisar.*frantic\|silence\|victory' 0           # across splits, no music, a jingle
rows 'lisar.*elf-land' 0                            # the same picture under another campaign's name

# Nothing changes when it is run again, and a killed run leaves no harm.
cp set/pairs.csv before.csv
: > set/artworks/.wesnoth-Liberty-story-island.jpg.partial
touch -d 2001-01-01 set/music/wesnoth-knolls.ogg
works collect
same set/pairs.csv before.csv
same set/music/wesnoth-knolls.ogg "$DATA/core/music/knolls.ogg"

# The program reads what the script writes.
works arttomus prepare --dry-run --model "$TINY" --columns pixels,audio --pairs set/pairs.csv
grep -q '1 train, 2 validation, 1 test' "$WORK.stderr" || fail "$(cat "$WORK.stderr")"

# What is transparent becomes black; needs netpbm.
if command -v pngtopnm > /dev/null; then
    kalenz=$DATA/campaigns/Legend_of_Wesmere/images/portraits/kalenz.png
    rm "$kalenz" && cp "$FIXTURES/data/rgba.png" "$kalenz"
    works collect
    flat=set/artworks/wesnoth-Legend_of_Wesmere-portraits-kalenz.png
    [ "$(od -An -tu1 -j25 -N1 "$flat")" -le 3 ] || fail "$flat still has an alpha channel"
fi

expect 64 'unknown option' bash "$SOURCE/scripts/fetch_data" --tiny
rm -r "$DATA/core"
expect 65 'no music of any package' collect
finish
