// Macros for C tests.
#include <sam2.h>
#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int checks = 0;
#define CHECK(what)                                                                           \
    do {                                                                                      \
        checks++;                                                                             \
        if (!(what)) {                                                                        \
            fprintf(stderr, "line %d: %s (last error: %s)\n", __LINE__, #what, sam2_last_error()); \
            exit(1);                                                                          \
        }                                                                                     \
    } while (0)
#define OK(call) CHECK((call) == SAM2_OK)

static inline int bad(int status) {
    return status == SAM2_ERROR_INVALID_ARGUMENT || status == SAM2_ERROR_INVALID_HANDLE;
}
