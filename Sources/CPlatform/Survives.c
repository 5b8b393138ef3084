#define _GNU_SOURCE
#include "CPlatform.h"
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

static const long long slowest_rate = 2 << 20;     /* bytes of work in a second of processor time */
static int copy_seconds;                            /* in a copy: those that it began with; 0 elsewhere */
static long long announced;                         /* bytes of work */

static void limit_time(void) {
    struct rlimit cpu;
    if (getrlimit(RLIMIT_CPU, &cpu) != 0) return;
    rlim_t most = (rlim_t)copy_seconds + (rlim_t)((announced + slowest_rate - 1) / slowest_rate);
    cpu.rlim_cur = most < cpu.rlim_max ? most : cpu.rlim_max;       /* the hard one is the user's, and kills with SIGKILL */
    setrlimit(RLIMIT_CPU, &cpu);
}

void work_ahead(long long bytes) {
    if (copy_seconds == 0 || bytes <= 0) return;
    announced = announced > (1LL << 60) - bytes ? 1LL << 60 : announced + bytes;
    limit_time();
}

/* The copy's own part; nothing but the calling thread is in it. */
static void live(void (*body)(void *), void *context, int seconds) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);           /* nobody waits for it any more */
    for (int i = 0; i < kept_count; i++) close(kept[i]);
    int deadly[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGXCPU, SIGTRAP};
    for (size_t i = 0; i < sizeof deadly / sizeof *deadly; i++) signal(deadly[i], SIG_DFL);
    sigset_t nothing;
    sigemptyset(&nothing);
    sigprocmask(SIG_SETMASK, &nothing, NULL);   /* a thread may block what SIGXCPU needs */
    signal(SIGINT, SIG_IGN);                    /* Ctrl-C is for the original */
    signal(SIGTERM, SIG_IGN);
    signal(SIGHUP, SIG_IGN);
    signal(SIGUSR1, SIG_IGN);
    struct rlimit none = {0, 0};
    setrlimit(RLIMIT_CORE, &none);
    copy_seconds = seconds;
    announced = 0;
    limit_time();                               /* counts from the copy's start */
    int quiet = open("/dev/null", O_WRONLY | O_CLOEXEC);
    if (quiet >= 0) dup2(quiet, 2);
    body(context);
}

/* Processor time of another process in nanoseconds, without /proc; -1 when that is not told. */
static long long processor_time(pid_t process) {
    clockid_t clock;
    struct timespec used;
    if (clock_getcpuclockid(process, &clock) != 0 || clock_gettime(clock, &used) != 0) return -1;
    return used.tv_sec * 1000000000LL + used.tv_nsec;
}

/* Waits for the copy's end, which closes the other end of its pipe. 0 when it waits itself instead: asleep for a second for
   a lock whose owner is not there, or without any progress for 20 seconds (where /proc does not tell sleep from a slow disk). */
static int comes_to_its_end(pid_t child, int pipe_end) {
    struct pollfd end = {pipe_end, POLLIN, 0};
    long long before = -1;
    for (int asleep = 0, still = 0; asleep < 10 && still < 200; ) {
        if (poll(&end, 1, 100) > 0) return 1;
        long long now = processor_time(child);
        still = now == before ? still + 1 : 0;
        before = now;
        asleep = sleeps(child) ? asleep + 1 : 0;
    }
    return 0;
}

/* C, because Swift does not offer fork. */
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
        live(body, context, seconds);
        _exit(0);
    }
    close(ends[1]);
    int ended = comes_to_its_end(child, ends[0]);
    if (!ended) kill(child, SIGKILL);
    close(ends[0]);
    int status = 0;
    while (waitpid(child, &status, 0) < 0) if (errno != EINTR) return -1;
    if (!ended) return -1;
    if (!WIFSIGNALED(status)) return 0;
    return WTERMSIG(status) == SIGKILL ? -1 : WTERMSIG(status);     /* by the kernel for want of memory, or by a person */
}
