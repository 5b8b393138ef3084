#pragma once
#include <zlib.h>

/* inflateInit2 is a macro, which Swift does not import. 31 asks for a gzip wrapper, so that zlib checks its CRC. */
static inline int czlib_inflateInit2_gzip(z_streamp stream) { return inflateInit2(stream, 31); }

/* Used by tests to make gzip files in memory. */
static inline int czlib_deflateInit2_gzip(z_streamp stream) {
    return deflateInit2(stream, 6, Z_DEFLATED, 31, 8, Z_DEFAULT_STRATEGY);
}
