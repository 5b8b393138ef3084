#include "CStart.h"

/* libgcc's table: it counts a feature only when CPUID has it and XGETBV says the OS saves its registers. */
int cpu_level(void) {
#if defined(__x86_64__)
    __builtin_cpu_init();
    if (__builtin_cpu_supports("x86-64-v4")) return 2;
    if (__builtin_cpu_supports("x86-64-v3")) return 1;
#endif
    return 0;
}
