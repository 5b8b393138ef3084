/* Runs a program where the kernel, a container or a file system does not do what most do:

     surround RULE ... -- PROGRAM ARGUMENTS ...

   RULE is CALL[@OBJECT]=ERRNO (refused, ERRNO as a number) or CALL[@OBJECT]~MILLISECONDS (slow). OBJECT tells calls on a
   descriptor apart: folder, file. Rules without an object and without a delay are a filter of the kernel (seccomp) alone; for
   the others the kernel asks this process about each call. The filter stays for good, and for copies of the program.
   Ends as the program ends; 125 when the kernel does not allow it. */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define CALL(name) {#name, __NR_##name}
static const struct { const char *name; int number; } calls[] = {
    CALL(clone3), CALL(clone), CALL(statx), CALL(getrandom), CALL(io_uring_setup), CALL(fsync), CALL(fdatasync), CALL(flock),
    CALL(sched_getaffinity), CALL(prlimit64), CALL(fchmod), CALL(ftruncate), CALL(pipe2), CALL(prctl), CALL(madvise),
    CALL(openat), CALL(pwrite64), CALL(pread64), CALL(write), CALL(read), CALL(getcwd), CALL(newfstatat), CALL(rseq),
    CALL(set_robust_list), CALL(membarrier), CALL(clock_gettime), CALL(clock_nanosleep), CALL(renameat2), CALL(ioctl),
    CALL(statfs), CALL(fstatfs), CALL(faccessat), CALL(mremap), CALL(uname), CALL(sigaltstack), CALL(getpid), CALL(tgkill),
#ifdef __NR_faccessat2
    CALL(faccessat2),
#endif
#ifdef __NR_rename
    CALL(rename), CALL(unlink), CALL(mkdir), CALL(access), CALL(fork), CALL(poll), CALL(readlink), CALL(getdents64),
#endif
};

struct rule { int call, error, delay; char object; };       /* object: 0, 'd' for folders, 'f' for files */
static struct rule rules[32];
static int rule_count;

static void fail(const char *what) {
    fprintf(stderr, "surround: %s: %s\n", what, strerror(errno));
    exit(125);
}

static void parse(const char *text) {
    struct rule *rule = &rules[rule_count++];
    size_t length = strcspn(text, "@=~");
    rule->call = -1;
    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++)
        if (strlen(calls[i].name) == length && strncmp(calls[i].name, text, length) == 0) rule->call = calls[i].number;
    if (rule->call < 0) { errno = EINVAL; fail(text); }
    if (text[length] == '@') {
        rule->object = text[length + 1] == 'f' && text[length + 2] == 'o' ? 'd' : 'f';
        length += strcspn(text + length, "=~");
    }
    *(text[length] == '~' ? &rule->delay : &rule->error) = atoi(text + length + 1);
}

/* One instruction pair for each rule; the first that fits decides. */
static int install(int asks) {
    struct sock_filter code[4 + 2 * 32 + 1];
    int n = 0;
    code[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
    for (int i = 0; i < rule_count; i++) {
        int kernel = !rules[i].object && !rules[i].delay;
        code[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)rules[i].call, 0, 1);
        code[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, kernel ? SECCOMP_RET_ERRNO | (uint32_t)rules[i].error : SECCOMP_RET_USER_NOTIF);
    }
    code[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    struct sock_fprog program = {(unsigned short)n, code};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) fail("no new privileges");
    long listener = syscall(__NR_seccomp, SECCOMP_SET_MODE_FILTER, asks ? SECCOMP_FILTER_FLAG_NEW_LISTENER : 0, &program);
    if (listener < 0) fail("filter");
    return asks ? (int)listener : -1;
}

static void send_descriptor(int socket, int descriptor) {
    char byte = 0, control[CMSG_SPACE(sizeof(int))] = {0};
    struct iovec part = {&byte, 1};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(header), &descriptor, sizeof(int));
    if (sendmsg(socket, &message, 0) < 0) _exit(125);
}

static int receive_descriptor(int socket) {
    char byte, control[CMSG_SPACE(sizeof(int))];
    struct iovec part = {&byte, 1};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    if (recvmsg(socket, &message, 0) <= 0 || !CMSG_FIRSTHDR(&message)) return -1;
    int descriptor;
    memcpy(&descriptor, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof(int));
    return descriptor;
}

static char object_of(pid_t process, uint64_t descriptor) {
    char path[64];
    struct stat status;
    snprintf(path, sizeof path, "/proc/%d/fd/%llu", (int)process, (unsigned long long)descriptor);
    if (stat(path, &status) != 0) return 0;
    return S_ISDIR(status.st_mode) ? 'd' : S_ISREG(status.st_mode) ? 'f' : 0;
}

/* Answers one question of the kernel. */
static void answer(int listener) {
    struct seccomp_notif question = {0};
    if (ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &question) != 0) return;
    struct seccomp_notif_resp reply = {.id = question.id, .flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE};
    for (int i = 0; i < rule_count; i++) {
        if (rules[i].call != question.data.nr) continue;
        if (rules[i].object && rules[i].object != object_of((pid_t)question.pid, question.data.args[0])) continue;
        if (rules[i].delay) usleep((useconds_t)rules[i].delay * 1000);
        else reply = (struct seccomp_notif_resp){.id = question.id, .error = -rules[i].error};
        break;
    }
    ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &reply);
}

int main(int argc, char **argv) {
    int first = 1, asks = 0;
    for (; first < argc && strcmp(argv[first], "--") != 0 && rule_count < 32; first++) parse(argv[first]);
    for (int i = 0; i < rule_count; i++) asks |= rules[i].object || rules[i].delay;
    char **program = argv + first + 1;
    if (first + 1 >= argc) { errno = EINVAL; fail("no program"); }
    int sockets[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets) != 0) fail("socket");
    pid_t child = fork();
    if (child < 0) fail("fork");
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        int listener = install(asks);
        if (asks) send_descriptor(sockets[1], listener);
        close(listener);
        execv(program[0], program);
        fail(program[0]);
    }
    close(sockets[1]);
    int listener = asks ? receive_descriptor(sockets[0]) : -1, status;
    signal(SIGINT, SIG_IGN);
    while (waitpid(child, &status, listener >= 0 ? WNOHANG : 0) == 0) {
        struct pollfd waiting = {listener, POLLIN, 0};
        if (poll(&waiting, 1, 20) > 0 && waiting.revents & POLLIN) answer(listener);
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
