#include "CPlatform.h"
#include <stdlib.h>

/* The linker's --wrap=malloc (Package.swift) sends every call of malloc in the executable here; test bundles are linked
   without it, and there this is not called. */
void *__real_malloc(size_t size) __attribute__((weak));

static _Thread_local int depth;

void *__wrap_malloc(size_t size) { return depth > 0 ? calloc(1, size) : __real_malloc(size); }

void zero_new_memory(int begins) { depth += begins ? 1 : -1; }
