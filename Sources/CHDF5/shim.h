#pragma once
#include <hdf5/serial/hdf5.h>

/* Swift imports neither HDF5's macros that hide a call or a cast nor, in Swift 6 mode, the `_g` globals behind them.
   Each accessor carries the macro's name: chdf5_H5T_NATIVE_FLOAT() is H5T_NATIVE_FLOAT. */
#define CHDF5_ID(NAME) static inline hid_t chdf5_##NAME(void) { return NAME; }

CHDF5_ID(H5T_NATIVE_UINT8)
CHDF5_ID(H5T_NATIVE_UINT16)
CHDF5_ID(H5T_NATIVE_UINT32)
CHDF5_ID(H5T_NATIVE_UINT64)
CHDF5_ID(H5T_NATIVE_INT8)
CHDF5_ID(H5T_NATIVE_INT16)
CHDF5_ID(H5T_NATIVE_INT32)
CHDF5_ID(H5T_NATIVE_INT64)
CHDF5_ID(H5T_NATIVE_FLOAT)
CHDF5_ID(H5T_NATIVE_DOUBLE)
CHDF5_ID(H5T_STD_U8LE)
CHDF5_ID(H5T_STD_U16LE)
CHDF5_ID(H5T_STD_U32LE)
CHDF5_ID(H5T_STD_U64LE)
CHDF5_ID(H5T_STD_I8LE)
CHDF5_ID(H5T_STD_I16LE)
CHDF5_ID(H5T_STD_I32LE)
CHDF5_ID(H5T_STD_I64LE)
CHDF5_ID(H5T_IEEE_F32LE)
CHDF5_ID(H5T_IEEE_F64LE)
CHDF5_ID(H5T_C_S1)
CHDF5_ID(H5P_DEFAULT)      /* imported as Int32, hid_t is Int64 */
CHDF5_ID(H5P_FILE_CREATE)
CHDF5_ID(H5P_FILE_ACCESS)
CHDF5_ID(H5P_GROUP_CREATE)
CHDF5_ID(H5P_DATASET_CREATE)
CHDF5_ID(H5P_LINK_CREATE)
CHDF5_ID(H5S_ALL)
CHDF5_ID(H5E_DEFAULT)

/* These expand to H5check() or carry a cast. */
static inline unsigned chdf5_H5F_ACC_RDONLY(void) { return H5F_ACC_RDONLY; }
static inline unsigned chdf5_H5F_ACC_EXCL(void) { return H5F_ACC_EXCL; }
static inline size_t chdf5_H5T_VARIABLE(void) { return H5T_VARIABLE; }

/* H5Literate, too, has two versions from 1.12 on. Calls `visit` with every link's name, in the order of their bytes, until it
   gives something else than 0, and gives that; negative on failure. */
typedef int (*chdf5_visit)(const char *name, void *context);
struct chdf5_visitor { chdf5_visit visit; void *context; };

#if H5_VERSION_GE(1, 12, 0)
static herr_t chdf5_link(hid_t group, const char *name, const H5L_info2_t *info, void *visitor) {
#else
static herr_t chdf5_link(hid_t group, const char *name, const H5L_info_t *info, void *visitor) {
#endif
    (void)group;
    (void)info;
    struct chdf5_visitor *who = (struct chdf5_visitor *)visitor;
    return who->visit(name, who->context);
}

static inline int chdf5_H5Literate(hid_t group, chdf5_visit visit, void *context) {
    struct chdf5_visitor who = {visit, context};
#if H5_VERSION_GE(1, 12, 0)
    return H5Literate2(group, H5_INDEX_NAME, H5_ITER_INC, NULL, chdf5_link, &who);
#else
    return H5Literate(group, H5_INDEX_NAME, H5_ITER_INC, NULL, chdf5_link, &who);
#endif
}

/* H5Oget_info is a macro over versions of a struct, in which 1.12 replaced the address by an opaque token. Gives what tells
   an object of a file from the others, 0 on failure. */
static inline unsigned long long chdf5_identity(hid_t object) {
#if H5_VERSION_GE(1, 12, 0)
    H5O_info2_t info;
    unsigned long long number = 0;
    if (H5Oget_info3(object, &info, H5O_INFO_BASIC) < 0) return 0;
    for (int i = 0; i < 8; i++) number = number << 8 | info.token.__data[7 - i];
    return number;
#else
    H5O_info_t info;
    return H5Oget_info2(object, &info, H5O_INFO_BASIC) < 0 ? 0 : (unsigned long long)info.addr;
#endif
}

/* H5Lget_info is a function up to HDF5 1.10 and a macro over two versions of a struct from 1.12 on. Gives the link's
   kind (0 hard, 1 soft, 64 external, more: user-defined), -1 on failure, and the size of a soft link's target. */
static inline int chdf5_H5Lget_info(hid_t location, const char *name, size_t *target_size) {
    H5L_info_t info;
    if (H5Lget_info(location, name, &info, H5P_DEFAULT) < 0) return -1;
    *target_size = info.type == H5L_TYPE_HARD ? 0 : info.u.val_size;
    return (int)info.type;
}
