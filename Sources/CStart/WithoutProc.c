#include "CStart.h"
#include <stdlib.h>
#include <unistd.h>

/* Weak: test bundles link the dynamic runtime, which may not export it. */
extern void _swift_stdlib_overrideUnsafeArgvArgc(char **argv, int argc) __attribute__((weak));

static int count;
static char **arguments;

int argument_count(void) { return count; }
const char *argument(int index) { return arguments[index]; }

/* The Swift runtime takes its own path and the command line from /proc: without it, it aborts as it starts, and
   CommandLine.arguments is empty. Both are given here, before its own start-up code runs. */
__attribute__((constructor(101))) static void without_proc(int argc, char **argv) {
    count = argc;
    arguments = argv;
    if (access("/proc/self/exe", F_OK) == 0) return;
    setenv("SWIFT_ROOT", "/", 0);
    if (_swift_stdlib_overrideUnsafeArgvArgc) _swift_stdlib_overrideUnsafeArgvArgc(argv, argc);
}
