#include "ControlGroups.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* C, because it reads the kernel's text files with fgets, before the program's memory can be relied on. */

/* "\040" in a mount point is a space. */
static void unescape(char *text) {
    char *to = text;
    for (char *from = text; *from; from++) {
        if (from[0] == '\\' && from[1] >= '0' && from[1] <= '3' && from[2] && from[3]) {
            char digits[4] = {from[1], from[2], from[3], 0};
            *to++ = (char)strtol(digits, NULL, 8);
            from += 3;
        } else *to++ = *from;
    }
    *to = 0;
}

/* Whether `word` is one of those that commas separate. */
static int lists(const char *words, const char *word) {
    size_t length = strlen(word);
    for (const char *at = words; (at = strstr(at, word)); at += length)
        if ((at == words || at[-1] == ',') && (at[length] == 0 || at[length] == ',' || at[length] == '\n')) return 1;
    return 0;
}

/* Where a hierarchy is mounted, and which of its groups is the root there (containers see their own alone). A line:
   "36 35 0:29 ROOT POINT options optional... - TYPE source super-options". 0 when it is not mounted. */
static int mounted(int version, const char *controller, char root[1024], char point[1024]) {
    FILE *file = fopen("/proc/self/mountinfo", "re");
    if (!file) return 0;
    char line[4096], type[64], options[1024];
    int found = 0;
    while (fgets(line, sizeof line, file)) {
        char *rest = strstr(line, " - ");
        if (!rest || sscanf(line, "%*s %*s %*s %1023s %1023s", root, point) != 2) continue;
        if (sscanf(rest + 3, "%63s %*s %1023s", type, options) != 2) continue;
        if (version == 2 ? strcmp(type, "cgroup2") != 0 : strcmp(type, "cgroup") != 0 || !lists(options, controller)) continue;
        unescape(root);
        unescape(point);
        found = 1;
        break;
    }
    fclose(file);
    return found;
}

/* The group at `path` of a hierarchy and all above it, up to what is mounted. */
static void walk(int version, const char *controller, char *path, group_visitor visit, void *context) {
    char root[1024], point[1024], folder[2100];
    if (!mounted(version, controller, root, point)) return;
    size_t length = strcmp(root, "/") == 0 ? 0 : strlen(root);
    if (length && strncmp(path, root, length) == 0 && (path[length] == 0 || path[length] == '/')) path += length;
    if (strcmp(path, "/") == 0) path[0] = 0;
    for (;;) {
        snprintf(folder, sizeof folder, "%s%s", point, path);
        visit(folder, version, context);
        char *slash = strrchr(path, '/');
        if (!slash) return;
        *slash = 0;
    }
}

void each_group(const char *controller, group_visitor visit, void *context) {
    FILE *file = fopen("/proc/self/cgroup", "re");
    if (!file) return;
    char line[1024];
    while (fgets(line, sizeof line, file)) {            /* "0::/a/b" or "4:cpu,cpuacct:/a/b" */
        char *controllers = strchr(line, ':'), *path = controllers ? strchr(controllers + 1, ':') : NULL;
        if (!path) continue;
        *path++ = 0;
        path[strcspn(path, "\n")] = 0;
        int version = controllers[1] == 0 ? 2 : lists(controllers + 1, controller) ? 1 : 0;
        if (version) walk(version, controller, path, visit, context);
    }
    fclose(file);
}
