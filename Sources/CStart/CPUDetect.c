#define _GNU_SOURCE
#include "CStart.h"
#include <sched.h>
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

/* A C file because Swift does not see this GNU call; 1024 cores and more make it fail, then all are counted. */
int usable_cores(void) {
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) == 0) return CPU_COUNT(&set);
    long n = sysconf(_SC_NPROCESSORS_ONLN);
    return n > 0 ? (int)n : 1;
}
