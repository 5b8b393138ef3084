#include "CPlatform.h"
#include <malloc.h>

void trim_heap(void) { malloc_trim(0); }
