/* status.h - failing with a message, and relaying failure. */
#ifndef ATM_BASE_STATUS_H
#define ATM_BASE_STATUS_H
#include "arttomus/status.h"

#include <stdarg.h>
#include <stddef.h>

/* Sets this thread's message and returns `status`: `return atm_fail(...)`.
 * The arguments may quote atm_error() itself. */
atm_status atm_fail(atm_status status, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Puts "context: " before the message already set, and returns `status`:
 * the caller knows the file or the component, the callee the reason. */
atm_status atm_fail_in(atm_status status, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

void atm_clear_error(void);

/* Relays a failure to the function's single exit:
 *     atm_status status = ATM_OK;  ...  TRY(read(f)); ...  done: free(x); return status; */
#define TRY(call) do { if ((status = (call)) != ATM_OK) goto done; } while (0)

/* The same for functions with nothing to release. */
#define TRY_RETURN(call) \
    do { atm_status status_ = (call); if (status_ != ATM_OK) return status_; } while (0)

#endif
