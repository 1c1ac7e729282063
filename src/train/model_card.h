/* model_card.h - README.md of a trained model: what it is, from which data and by which
 * configuration, how good, and the hashes of its weights.
 *
 * Markdown with the YAML head that Hugging Face reads.  It names files and folders by their
 * last words alone: where they lie on somebody's machine is nobody's business. */
#ifndef ATM_TRAIN_MODEL_CARD_H
#define ATM_TRAIN_MODEL_CARD_H

#include "train/export.h"

/* Of the model in `folder`, whose weights are all there. */
atm_status atm_model_card_write(const atm_stage *stage, const char *folder, const atm_export_options *options);

#endif
