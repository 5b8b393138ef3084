#define _GNU_SOURCE
#include "CPlatform.h"
#include <pthread.h>
#include <sys/resource.h>

static void (*work)(void);

static void *run(void *nothing) {
    work();
    return nothing;
}

/* C, because pthread_join's result has no use in Swift's types. */
void with_enough_stack(void (*body)(void)) {
    const size_t wanted = 8 << 20;
    struct rlimit limit;
    pthread_attr_t attributes;
    pthread_t thread;
    work = body;
    int small = getrlimit(RLIMIT_STACK, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY && limit.rlim_cur < (1 << 20);
    if (small && pthread_attr_init(&attributes) == 0 && pthread_attr_setstacksize(&attributes, wanted) == 0
        && pthread_create(&thread, &attributes, run, NULL) == 0) pthread_join(thread, NULL);
    else body();
}
