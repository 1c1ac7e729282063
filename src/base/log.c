#include "base/log.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static atm_log_callback sink;
static void *sink_user;

void atm_log_to(atm_log_callback callback, void *user)
{
    pthread_mutex_lock(&mutex);
    sink = callback;
    sink_user = user;
    pthread_mutex_unlock(&mutex);
}

void atm_log(atm_log_level level, const char *format, ...)
{
    char text[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    pthread_mutex_lock(&mutex);
    if (sink) sink(level, text, sink_user);
    pthread_mutex_unlock(&mutex);
}
