#include "base/status.h"

#include <stdio.h>
#include <string.h>

enum { MESSAGE_BYTES = 8192 };      /* room for a list of a model's missing tensors */

static _Thread_local char message[MESSAGE_BYTES];

const char *atm_error(void) { return message; }

void atm_clear_error(void) { message[0] = '\0'; }

atm_status atm_fail(atm_status status, const char *format, ...)
{
    char text[MESSAGE_BYTES];       /* the arguments may point into `message` */
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    memcpy(message, text, sizeof message);
    return status;
}

atm_status atm_fail_in(atm_status status, const char *format, ...)
{
    char context[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(context, sizeof context, format, args);
    va_end(args);
    return atm_fail(status, "%s: %s", context, message);
}
