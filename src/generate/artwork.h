/* artwork.h - the caller's array of artworks. */
#ifndef ATM_GENERATE_ARTWORK_H
#define ATM_GENERATE_ARTWORK_H

#include "generate/engine.h"

/* Element i of an array whose stride is first->size, which may be an older and
 * shorter struct than ours. */
atm_artwork engine_artwork_at(const atm_artwork *first, int i);

/* Has it been looked at already, so that the image encoder is not needed? */
bool engine_is_embedding(const atm_artwork *artwork);

#endif
