#pragma once

/* 2: AVX-512 (x86-64-v4), 1: AVX2 with FMA (x86-64-v3), 0: the architecture's baseline. */
int cpu_level(void);

/* Cores that this process may run on, at least 1. */
int usable_cores(void);

/* Gives freed memory back to the system, so that a peak of memory can be measured; Swift's Glibc has no malloc_trim. */
void trim_heap(void);
