#define _GNU_SOURCE
#include "CPlatform.h"
#include "ControlGroups.h"
#include <sched.h>
#include <stdio.h>
#include <unistd.h>

/* libgcc's table: it counts a feature only when CPUID has it and XGETBV says the OS saves its registers. */
int cpu_level(void) {
#if defined(__x86_64__)
    __builtin_cpu_init();
    if (__builtin_cpu_supports("x86-64-v4")) return 2;
    if (__builtin_cpu_supports("x86-64-v3")) return 1;
#endif
    return 0;
}

/* A CPU quota in whole cores, rounded up: half a core still is one thread. */
static void quota(const char *folder, int version, void *context) {
    int *cores = context;
    char path[2200];
    long long most = -1, period = -1;
    if (version == 2) {                                 /* "50000 100000", or "max 100000" without a quota */
        snprintf(path, sizeof path, "%s/cpu.max", folder);
        FILE *file = fopen(path, "re");
        if (!file) return;
        if (fscanf(file, "%lld %lld", &most, &period) != 2) most = -1;
        fclose(file);
    } else {
        snprintf(path, sizeof path, "%s/cpu.cfs_quota_us", folder);
        FILE *file = fopen(path, "re");
        if (!file) return;
        if (fscanf(file, "%lld", &most) != 1) most = -1;        /* -1 is also how it says that there is none */
        fclose(file);
        snprintf(path, sizeof path, "%s/cpu.cfs_period_us", folder);
        if (!(file = fopen(path, "re"))) return;
        if (fscanf(file, "%lld", &period) != 1) period = -1;
        fclose(file);
    }
    if (most <= 0 || period <= 0) return;
    long long whole = (most + period - 1) / period;
    if (whole < *cores) *cores = (int)whole;
}

/* The cores that the scheduler may put this process on. A C file because Swift does not see this GNU call, which wants a
   larger set on machines of more than 1024 cores. */
static int affine_cores(void) {
    for (int cores = 1024; cores <= 1 << 20; cores *= 4) {
        cpu_set_t *set = CPU_ALLOC(cores);
        if (!set) break;
        int count = sched_getaffinity(0, CPU_ALLOC_SIZE(cores), set) == 0 ? CPU_COUNT_S(CPU_ALLOC_SIZE(cores), set) : 0;
        CPU_FREE(set);
        if (count > 0) return count;
    }
    long n = sysconf(_SC_NPROCESSORS_ONLN);
    return n > 0 ? (int)n : 1;
}

int usable_cores(void) {
    int cores = affine_cores();
    each_group("cpu", quota, &cores);
    return cores;
}
