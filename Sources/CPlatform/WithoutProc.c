#define _GNU_SOURCE
#include "CPlatform.h"
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

/* Weak: test bundles link the dynamic runtime, which may not export it. */
extern void _swift_stdlib_overrideUnsafeArgvArgc(char **argv, int argc) __attribute__((weak));

static int count;
static char **arguments;

int argument_count(void) { return count; }
const char *argument(int index) { return arguments[index]; }

/* Where stdin, stdout or stderr was closed, the next file that is opened would take its place, and what is meant for people
   would be written into it. Writing to a folder fails, as it should. */
static void hold_standard_descriptors(void) {
    for (int descriptor = 0; descriptor <= 2; descriptor++)
        if (fcntl(descriptor, F_GETFD) < 0 && open("/", O_PATH) > descriptor) return;   /* lower ones are open: it is this one */
}

/* The Swift runtime takes its own path and the command line from /proc: without it, it aborts as it starts, and
   CommandLine.arguments is empty. Both are given here, before its own start-up code runs. */
__attribute__((constructor(101))) static void without_proc(int argc, char **argv) {
    count = argc;
    arguments = argv;
    hold_standard_descriptors();
    char path[2];
    if (readlink("/proc/self/exe", path, sizeof path) > 0) return;     /* not access: a filter may refuse the one and not the other */
    setenv("SWIFT_ROOT", "/", 0);
    if (_swift_stdlib_overrideUnsafeArgvArgc) _swift_stdlib_overrideUnsafeArgvArgc(argv, argc);
}
