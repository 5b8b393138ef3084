#define _GNU_SOURCE
#include "CStart.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* Whether a process sleeps, by the letter behind its name in /proc/PID/stat: 'S', while files keep one in 'D' or 'R'. */
static int sleeps(pid_t process) {
    char path[40], text[400];
    snprintf(path, sizeof path, "/proc/%d/stat", (int)process);
    FILE *file = fopen(path, "re");
    if (!file) return 0;
    size_t count = fread(text, 1, sizeof text - 1, file);
    fclose(file);
    text[count] = 0;
    const char *name_end = strrchr(text, ')');
    return name_end && name_end[1] == ' ' && name_end[2] == 'S';
}

static int kept[16], kept_count;       /* under the caller's lock, as `survives` is */

void keep_from_copies(int descriptor) {
    if (kept_count < (int)(sizeof kept / sizeof *kept)) kept[kept_count++] = descriptor;
}

void forget_kept(void) { kept_count = 0; }

/* C, because Swift does not offer fork: nothing but the calling thread is in the copy. */
int survives(void (*body)(void *), void *context, int seconds) {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) return -1;
    pid_t child = fork();
    if (child < 0) {
        close(ends[0]);
        close(ends[1]);
        return -1;
    }
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);       /* nobody waits for it any more */
        for (int i = 0; i < kept_count; i++) close(kept[i]);
        int deadly[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGXCPU, SIGTRAP};
        for (size_t i = 0; i < sizeof deadly / sizeof *deadly; i++) signal(deadly[i], SIG_DFL);
        sigset_t nothing;
        sigemptyset(&nothing);
        sigprocmask(SIG_SETMASK, &nothing, NULL);   /* worker threads block what SIGXCPU needs */
        signal(SIGINT, SIG_IGN);                /* Ctrl-C is for the original */
        signal(SIGTERM, SIG_IGN);
        struct rlimit none = {0, 0}, cpu = {(rlim_t)seconds, (rlim_t)seconds + 1};
        setrlimit(RLIMIT_CORE, &none);
        setrlimit(RLIMIT_CPU, &cpu);            /* counts from the copy's start */
        int quiet = open("/dev/null", O_WRONLY | O_CLOEXEC);
        if (quiet >= 0) dup2(quiet, 2);
        body(context);
        _exit(0);
    }
    close(ends[1]);                             /* the other end closes with the copy, whatever becomes of it */
    struct pollfd end = {ends[0], POLLIN, 0};
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    long long deadline = now.tv_sec + 20LL * seconds;
    int idle = 0, asleep = 0;
    while (!idle && poll(&end, 1, 100) <= 0) {
        clock_gettime(CLOCK_MONOTONIC, &now);
        asleep = sleeps(child) ? asleep + 1 : 0;        /* ten times in a row: it waits for a lock whose owner is not there */
        idle = asleep >= 10 || now.tv_sec >= deadline;
    }
    if (idle) kill(child, SIGKILL);
    close(ends[0]);
    int status = 0;
    while (waitpid(child, &status, 0) < 0) if (errno != EINTR) return -1;
    if (idle) return -1;
    if (!WIFSIGNALED(status)) return 0;
    return WTERMSIG(status) == SIGKILL ? -1 : WTERMSIG(status);     /* by the kernel for want of memory, or by a person */
}
