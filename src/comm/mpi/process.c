/* process.c - see process.h; /proc/PID/stat is described in proc(5). */
#define _GNU_SOURCE
#include "comm/mpi/process.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* What lies between the third field and the 22nd. */
#define SIX_FIELDS " %*s %*s %*s %*s %*s %*s"
#define EIGHTEEN_FIELDS SIX_FIELDS SIX_FIELDS SIX_FIELDS

/* The state's letter, or 0 when there is no such process. */
static char read_stat(int64_t pid, uint64_t *start)
{
    char path[64], line[1024] = "", state = 0;
    snprintf(path, sizeof path, "/proc/%lld/stat", (long long)pid);
    FILE *file = fopen(path, "r");
    if (!file) return 0;
    const size_t n = fread(line, 1, sizeof line - 1, file);
    fclose(file);
    line[n] = '\0';
    /* Field 2, the name, may hold blanks and brackets; 3 is the state, 22 the start. */
    const char *rest = strrchr(line, ')');
    unsigned long long ticks = 0;
    const int read = rest ? sscanf(rest + 1, " %c" EIGHTEEN_FIELDS " %llu", &state, &ticks) : 0;
    *start = ticks;
    return read == 2 ? state : 0;
}

static void read_machine(char *out, size_t room)
{
    char boot[40] = "", space[64] = "";
    FILE *file = fopen("/proc/sys/kernel/random/boot_id", "r");
    const bool known = file && fgets(boot, sizeof boot, file)
                       && readlink("/proc/self/ns/pid", space, sizeof space - 1) > 0;
    if (file) fclose(file);
    boot[strcspn(boot, "\n")] = '\0';
    if (known) snprintf(out, room, "%s %s", boot, space);
}

atm_process atm_process_self(void)
{
    atm_process self;
    memset(&self, 0, sizeof self);              /* sent as bytes */
    gethostname(self.host, sizeof self.host - 1);
    self.pid = getpid();
    if (read_stat(self.pid, &self.start)) read_machine(self.machine, sizeof self.machine);
    return self;
}

atm_process_state atm_process_look(const atm_process *self, const atm_process *other)
{
    if (!*self->machine || strcmp(self->machine, other->machine) != 0) return ATM_PROCESS_UNKNOWN;
    uint64_t start = 0;
    errno = 0;
    const char state = read_stat(other->pid, &start);
    /* Out of descriptors, say: that is not a death. */
    if (!state && errno != ENOENT && errno != ESRCH) return ATM_PROCESS_UNKNOWN;
    if (!state || start != other->start || strchr("ZXx", state)) return ATM_PROCESS_DEAD;
    return strchr("Tt", state) ? ATM_PROCESS_STOPPED : ATM_PROCESS_ALIVE;
}
