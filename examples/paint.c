/* paint.c - the smallest program that turns an artwork into music.
 *
 *     cc paint.c $(pkg-config --cflags --libs arttomus) -o paint
 *     ./paint great_wave.jpg great_wave.wav */
#include <arttomus/arttomus.h>
#include <stdio.h>

static int show(const atm_progress *progress, void *user)
{
    (void)user;
    fprintf(stderr, "\r%3.0f %%", 100 * progress->fraction);
    return 0;       /* anything else would stop the work */
}

int main(int argc, char **argv)
{
    if (argc != 3) {
        fprintf(stderr, "usage: paint ARTWORK SOUND.wav\n");
        return ATM_E_USAGE;
    }
    const atm_artwork artwork = { .size = sizeof artwork, .path = argv[1], .seed = 1 };
    const atm_generate_options options = { .size = sizeof options, .duration = 5, .progress = show };
    atm_model *model = NULL;
    atm_result *music = NULL;

    atm_status status = atm_open(NULL, NULL, &model);
    if (!status) status = atm_generate(model, 1, &artwork, &options, &music);
    if (!status) status = atm_save_audio(music, 0, argv[2], NULL);
    fprintf(stderr, "\n%s\n", status ? atm_error() : "done");

    atm_result_free(music);
    atm_close(model);
    return status;
}
