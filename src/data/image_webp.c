/* image_webp.c - WebP, lossy and lossless, by libwebp.
 *
 * A file is RIFF: "RIFF" size "WEBP", then chunks of a 4-letter name, a 32-bit
 * little-endian size, and data padded to even length.  We walk it for EXIF. */
#include "data/image_codec.h"
#include "data/exif.h"

#include <string.h>

#include <webp/decode.h>

enum { RIFF_HEADER = 12, CHUNK_HEADER = 8 };

static uint32_t little_endian(const uint8_t *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static int find_orientation(const uint8_t *data, size_t size)
{
    for (size_t at = RIFF_HEADER; at <= size && size - at >= CHUNK_HEADER; ) {
        const size_t length = little_endian(data + at + 4), left = size - at - CHUNK_HEADER;
        if (length > left) break;
        if (memcmp(data + at, "EXIF", 4) == 0) return atm_exif_orientation(data + at + CHUNK_HEADER, length);
        at += CHUNK_HEADER + length + (length & 1);
    }
    return 1;
}

static const char *reason(VP8StatusCode code)
{
    if (code == VP8_STATUS_NOT_ENOUGH_DATA || code == VP8_STATUS_SUSPENDED) return "truncated WebP";
    return code == VP8_STATUS_UNSUPPORTED_FEATURE ? "WebP of an unknown kind" : "broken WebP";
}

static atm_status fail(VP8StatusCode code)
{
    if (code == VP8_STATUS_OUT_OF_MEMORY) return atm_fail(ATM_E_MEMORY, "out of memory for a WebP");
    return atm_fail(ATM_E_DATA, "%s", reason(code));
}

atm_status atm_webp_decode(const uint8_t *data, size_t size, atm_image *out, int *orientation)
{
    WebPDecoderConfig config;
    if (!WebPInitDecoderConfig(&config)) return atm_fail(ATM_E_BUG, "libwebp is of another version");
    VP8StatusCode code = WebPGetFeatures(data, size, &config.input);
    if (code != VP8_STATUS_OK) return fail(code);
    if (config.input.has_animation)
        return atm_fail(ATM_E_DATA, "animated WebP: extract one picture of it first");
    TRY_RETURN(atm_image_alloc(config.input.width, config.input.height, out));
    config.output.colorspace = MODE_RGB;
    config.output.is_external_memory = 1;
    config.output.u.RGBA = (WebPRGBABuffer){ out->rgb, 3 * out->width,
                                             3 * (size_t)out->width * (size_t)out->height };
    code = WebPDecode(data, size, &config);
    WebPFreeDecBuffer(&config.output);
    *orientation = find_orientation(data, size);
    return code == VP8_STATUS_OK ? ATM_OK : fail(code);
}
