// Macros for tests: one spelling of calls for both forms of the header.
#include <sam2.hpp>

#include <cstdio>
#include <cstdlib>

#ifdef SAM2_CPP_EXCEPTIONS
#define TAKE(x) (x)
#define RUN(x) (x)
#else
template <class T> T taken(sam2::result<T> r) {
    if (!r) std::fprintf(stderr, "%s\n", r.error().message.c_str()), std::exit(1);
    return std::move(*r);
}
inline void taken(sam2::result<void> r) {
    if (!r) std::fprintf(stderr, "%s\n", r.error().message.c_str()), std::exit(1);
}
#define TAKE(x) taken(x)
#define RUN(x) taken(x)
#endif

// Gets the status of a call.
template <class F> sam2_status status_of(F call) {
#ifdef SAM2_CPP_EXCEPTIONS
    try {
        call();
        return SAM2_OK;
    } catch (const sam2::failure& e) {
        return e.status();
    }
#else
    auto r = call();
    return r ? SAM2_OK : r.error().status;
#endif
}

#define CHECK(what) \
    if (!(what)) std::fprintf(stderr, "line %d: %s\n", __LINE__, #what), std::exit(1)
