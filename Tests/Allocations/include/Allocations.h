#pragma once

/* Calls of malloc, calloc, realloc and their aligned kin by any thread since the program began; -1 where they cannot be
   counted (another C library than glibc, address sanitizer). */
long allocations(void);
