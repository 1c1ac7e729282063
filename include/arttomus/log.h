/* log.h - the library's only voice: a callback.  Silent until one is set. */
#ifndef ARTTOMUS_LOG_H
#define ARTTOMUS_LOG_H

#include "arttomus/status.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum { ATM_LOG_DEBUG, ATM_LOG_INFO, ATM_LOG_WARNING, ATM_LOG_ERROR } atm_log_level;

/* `text` has no newline and lives only during the call.  May be called from
 * any thread, one call at a time; must not call back into the library. */
typedef void (*atm_log_callback)(atm_log_level level, const char *text, void *user);

/* For the whole process; NULL: silence. */
ATM_API void atm_log_to(atm_log_callback callback, void *user);

#ifdef __cplusplus
}
#endif
#endif
