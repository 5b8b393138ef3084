#pragma once
#include <stddef.h>

/* 2: AVX-512 (x86-64-v4), 1: AVX2 with FMA (x86-64-v3), 0: the architecture's baseline. */
int cpu_level(void);

/* The command line as it was given, bytes: Swift's own repairs what is not UTF-8. Index 0 is the program. */
int argument_count(void);
const char *argument(int index);

/* Runs `body`: on a thread with a stack of 8 MiB where `ulimit -s` leaves less than 1 MiB and the system grants one. */
void with_enough_stack(void (*body)(void));

/* Cores that this process may use, at least 1: those that it may run on, and no more than what the CPU quota of its control
   groups (version 1 or 2, those above it too) amounts to. */
int usable_cores(void);

/* Gives freed memory back to the system, so that a peak of memory can be measured; Swift's Glibc has no malloc_trim. */
void trim_heap(void);

/* Bytes of memory that this process may still take: the least of the address space that ulimit -v leaves, of what the
   control groups (version 1 or 2) leave and of what the machine has available. Unknown ones do not count; -1 when none is
   known. `limit` is set to words for the one that decides, which live forever. */
long long free_memory(const char **limit);

/* Runs `body(context)` in a copy of this process, which ends without clean-up, and waits for it. Gives 0 when it came to its
   end, the signal's number when it died of one, and -1 when no copy could be made, it went to sleep for a lock that another
   thread held, or something outside ended it: then nothing is known. It dies of SIGXCPU when it takes more processor time than
   `seconds` and what `work_ahead` adds. */
int survives(void (*body)(void *context), void *context, int seconds);

/* In a copy made by `survives`: so many bytes are to be worked on next. A second is added for every 2 MiB, slower than any
   processor, so that what is refused does not depend on which one it is. Elsewhere it does nothing. */
void work_ahead(long long bytes);

/* `survives` closes this descriptor in its copy: a lock of flock lasts as long as any process has it, and must not outlive
   the original when that is killed. 16 at most; called by one thread at a time. `forget_kept` takes all back. */
void keep_from_copies(int descriptor);
void forget_kept(void);

/* From a call with 1 to that with 0, this thread's malloc gives zeros instead of what lay in the memory before; nests. */
void zero_new_memory(int begins);
