/* log.h - the library's side of the log callback. */
#ifndef ATM_BASE_LOG_H
#define ATM_BASE_LOG_H

#include "arttomus/log.h"

void atm_log(atm_log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
