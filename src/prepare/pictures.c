/* pictures.c - artworks to the pixels that the image encoder sees, before normalisation. */
#include <stdlib.h>

#include "io/read_file.h"
#include "prepare/job.h"

static atm_status crop_picture(const atm_job *job, const char *bytes, size_t n, atm_image *out)
{
    atm_image whole = { 0 };
    TRY_RETURN(atm_image_decode(bytes, n, &whole));
    const atm_status status = atm_image_resize_crop(&whole, job->side, job->crop, out);
    atm_image_free(&whole);
    return status;
}

static atm_status keep_picture(atm_job *job, atm_source *artwork, const char *bytes, size_t n)
{
    atm_image square = { 0 };
    atm_fingerprint_bytes(bytes, n, artwork->fingerprint);
    const atm_part_key key = atm_part_key_of(artwork->fingerprint, 0);
    if (atm_parts_has(job->store[JOB_PICTURES], key)) return ATM_OK;
    atm_status status = crop_picture(job, bytes, n, &square);
    if (status == ATM_OK) status = atm_parts_add(job->store[JOB_PICTURES], key, square.rgb);
    if (status != ATM_OK) artwork->fingerprint[0] = '\0';
    atm_image_free(&square);
    return status;
}

static atm_status make_picture(atm_job *job, int i)
{
    atm_source *artwork = &job->collection.artwork[i];
    char *bytes = NULL;
    size_t n;
    atm_status status = atm_read_file(artwork->file, ATM_IMAGE_MAX_BYTES, &bytes, &n);
    if (status == ATM_OK) {
        status = keep_picture(job, artwork, bytes, n);
        free(bytes);
    }
    return status == ATM_OK ? ATM_OK : job_skip(job, "artwork", artwork, status);
}

atm_status job_pictures(atm_job *job)
{
    const atm_collection *c = &job->collection;
    return job_each_source(job, "artworks", c->artwork, c->n_artworks, make_picture);
}
