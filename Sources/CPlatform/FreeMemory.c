#define _GNU_SOURCE
#include "CPlatform.h"
#include "ControlGroups.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

/* C, because it reads the kernel's text files with scanf, before the program's memory can be relied on. */

/* The number behind `key` in a file of lines "key number"; the file's first number when key is NULL; -1 when absent.
   "max" (no limit) is no number. */
static long long number_in(const char *path, const char *key) {
    FILE *file = fopen(path, "re");
    if (!file) return -1;
    char line[256];
    long long found = -1, value;
    size_t length = key ? strlen(key) : 0;
    while (found < 0 && fgets(line, sizeof line, file)) {
        if (key && (strncmp(line, key, length) != 0 || (line[length] != ' ' && line[length] != ':'))) continue;
        if (sscanf(line + length + (key ? 1 : 0), " %lld", &value) == 1 && value >= 0) found = value;
        if (!key) break;
    }
    fclose(file);
    return found;
}

static void least(long long left, const char *words, long long *free, const char **limit) {
    if (left < 0) left = 0;
    if (*free < 0 || left < *free) { *free = left; *limit = words; }
}

struct least_memory { long long *free; const char **limit; };

/* Page cache counts as used in a group and is given back when needed: only what is not backed by files is taken off. */
static void group(const char *folder, int version, void *context) {
    struct least_memory *least_memory = context;
    char path[2200];
    snprintf(path, sizeof path, "%s/%s", folder, version == 2 ? "memory.max" : "memory.limit_in_bytes");
    long long most = number_in(path, NULL);
    if (most < 0 || most > (1LL << 60)) return;
    snprintf(path, sizeof path, "%s/memory.stat", folder);
    long long used = number_in(path, version == 2 ? "anon" : "total_rss");
    least(most - (used < 0 ? 0 : used), "the control group's limit", least_memory->free, least_memory->limit);
}

long long free_memory(const char **limit) {
    long long free = -1;
    *limit = "";
    struct rlimit space;
    if (getrlimit(RLIMIT_AS, &space) == 0 && space.rlim_cur != RLIM_INFINITY) {
        long long pages = number_in("/proc/self/statm", NULL);
        least((long long)space.rlim_cur - (pages < 0 ? 0 : pages * sysconf(_SC_PAGESIZE)), "ulimit -v", &free, limit);
    }
    struct least_memory least_memory = {&free, limit};
    each_group("memory", group, &least_memory);
    long long kilobytes = number_in("/proc/meminfo", "MemAvailable");
    if (kilobytes >= 0) least(kilobytes * 1024, "the machine's memory", &free, limit);
    return free;
}
